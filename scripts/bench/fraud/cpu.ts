import { readdirSync, readFileSync } from 'node:fs'

/** Linux counts time in these ticks for programs (USER_HZ). */
const TICKS_PER_SECOND = 100

interface Stat {
  parent: number
  seconds: number
}

/** CPU seconds of a process and of the children it has buried (proc(5)); undefined where it is gone. */
function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number)
    return { parent: Number(fields[1]), seconds: (utime! + stime! + cutime! + cstime!) / TICKS_PER_SECOND }
  } catch {
    return undefined
  }
}

/** CPU seconds that a process and its living children have used; 0 where there is no /proc. */
export function cpuSeconds(pid: number): number {
  const own = statOf(pid)
  if (!own) return 0
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter((stat) => stat?.parent === pid)
  return children.reduce((sum, child) => sum + child!.seconds, own.seconds)
}

/** Resident memory of a process in MiB; 0 where there is no /proc. */
export function residentMib(pid: number): number {
  try {
    const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number(kib ?? 0) / 1024
  } catch {
    return 0
  }
}
