// Verifies a log that Vigil serves with Go's golang.org/x/mod/sumdb alone: not one line of Vigil's own arithmetic.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode TOKEN=... go run verify.go URL VKEY [OLDER-CHECKPOINT-FILE]
//
// Prints "verified N entries, M inclusion proofs, K consistency proofs" or what is wrong, with exit code 1.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func get(url string) []byte {
	request, err := http.NewRequest("GET", url, nil)
	check(err)
	if token := os.Getenv("TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	check(err)
	if response.StatusCode != 200 {
		log.Fatalf("%s: %s", url, response.Status)
	}
	return body
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// tiles reads C2SP tiles: Go's own path has the tile height before the level.
type tiles struct{ url string }

func (t tiles) Height() int                         { return height }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data = append(data, get(t.url+"/log/"+path))
	}
	return data, nil
}

func open(text []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	check(err)
	signed, err := note.Open(text, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(signed.Text, "\n")
	if lines[0] != verifier.Name() {
		log.Fatalf("the checkpoint is of %q", lines[0])
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	var hash tlog.Hash
	copy(hash[:], root)
	return tlog.Tree{N: size, Hash: hash}
}

// entries returns the bytes of every entry, from entry bundles.
func entries(url string, size int64) [][]byte {
	var all [][]byte
	for first := int64(0); first < size; first += 256 {
		tile := tlog.Tile{H: height, L: 0, N: first / 256, W: int(min(256, size-first))}
		bundle := get(url + "/log/" + strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1))
		for len(bundle) > 0 {
			length := int(binary.BigEndian.Uint16(bundle))
			all = append(all, bundle[2:2+length])
			bundle = bundle[2+length:]
		}
	}
	return all
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func main() {
	url, vkey := os.Args[1], os.Args[2]
	tree := open(get(url+"/log/checkpoint"), vkey)
	reader := tlog.TileHashReader(tree, tiles{url})
	root, err := tlog.TreeHash(tree.N, reader)
	check(err)
	if root != tree.Hash {
		log.Fatal("the tiles do not make up the signed root")
	}
	all := entries(url, tree.N)
	if int64(len(all)) != tree.N {
		log.Fatalf("%d entries in a tree of %d", len(all), tree.N)
	}
	proofs := 0
	for n := int64(0); n < tree.N; n += 1 + tree.N/50 {
		proof, err := tlog.ProveRecord(tree.N, n, reader)
		check(err)
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, n, tlog.RecordHash(all[n])))
		proofs++
	}
	older := []tlog.Tree{}
	if len(os.Args) > 3 {
		text, err := os.ReadFile(os.Args[3])
		check(err)
		older = append(older, open(text, vkey))
	}
	for i := 0; i < 20; i++ {
		n := 1 + rand.Int63n(tree.N)
		hash, err := tlog.TreeHash(n, reader)
		check(err)
		older = append(older, tlog.Tree{N: n, Hash: hash})
	}
	for _, old := range older {
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		check(err)
		check(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
	}
	fmt.Printf("verified %d entries, %d inclusion proofs, %d consistency proofs\n", tree.N, proofs, len(older))
}
