// Loaded into every service before its own code: a service whose supervisor is gone ends within ten seconds,
// also one that is still starting and does not listen to anything yet.
process.once('disconnect', () => setTimeout(() => process.exit(1), 10_000))
