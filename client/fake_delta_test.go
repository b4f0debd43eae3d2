package client_test

import (
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// deltas is what a fake does with deltas. The zero value knows none, as registries before
// them.
type deltas struct {
	known   bool
	refuse  bool                              // no base can be used
	kept    map[chunker.Digest]chunker.Digest // chunks that are kept as deltas of others
	refused int                               // uploads
	taken   int                               // deltas uploaded
	fresh   int                               // deltas made for a download
}

// plain returns the bytes of a chunk that the fake has. f.mu is held.
func (f *fake) plain(d chunker.Digest) []byte {
	plain, err := codec.Decode(nil, f.chunks[d])
	if err != nil {
		f.t.Errorf("chunk %s: %v", d.Short(), err)
	}
	return plain
}

// named returns the chunks of a version "namespace/model@digest", nil for one that is not
// there.
func (f *fake) named(version string) []chunker.Ref {
	_, digest, ok := strings.Cut(version, "@")
	d, err := chunker.ParseDigest(digest)
	if !ok || err != nil {
		f.t.Errorf("version %q", version)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := manifest.Parse(f.manifests[d])
	if err != nil {
		return nil
	}
	return m.Chunks
}

// undelta decodes a delta of a chunk of the version base, as far as the fake knows deltas.
func (f *fake) undelta(base string, enc []byte) ([]byte, error) {
	name, err := codec.Base(enc)
	if err != nil || name.IsZero() || !f.deltas.known {
		return codec.Decode(nil, enc)
	}
	table := f.named(base)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range table {
		if c.Digest == name && !f.deltas.refuse {
			f.deltas.taken++
			return codec.DecodeDelta(nil, enc, f.plain(name), name)
		}
	}
	f.deltas.refused++
	return nil, openapi.Errorf(openapi.CodeNoBase, "send the chunks whole")
}

// frames answers chunk i of a table behind what it is decoded with: as it is kept, as a
// delta of what the caller has, or whole.
func (f *fake) frames(body []byte, table []chunker.Ref, i int, have *chunker.Digest) ([]byte, error) {
	d, whole, err := f.encoded(table, i)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if have != nil && f.chunks[*have] != nil {
		enc, ok := codec.AppendDelta(nil, f.plain(d), f.plain(*have), *have, chunker.BF16, len(whole))
		if ok && len(enc) < len(whole) {
			f.deltas.fresh++
			return openapi.AppendFrame(body, d, enc), nil
		}
	}
	var chain [][]byte
	for at := d; ; {
		base, ok := f.deltas.kept[at]
		if !ok {
			chain = append(chain, openapi.AppendFrame(nil, at, f.chunks[at]))
			break
		}
		enc, ok := codec.AppendDelta(nil, f.plain(at), f.plain(base), base, chunker.BF16, chunker.MaxSize)
		if !ok {
			f.t.Errorf("chunk %s is no delta of %s", at.Short(), base.Short())
			return nil, openapi.Errorf(openapi.CodeInternal, "no delta")
		}
		chain = append(chain, openapi.AppendFrame(nil, at, enc))
		at = base
	}
	for k := len(chain) - 1; k >= 0; k-- {
		body = append(body, chain[k]...)
	}
	return body, nil
}

// held returns the chunks that a request says its caller has, one for each it asks for.
func (f *fake) held(q *http.Request, asked int) ([]*chunker.Digest, error) {
	list := make([]*chunker.Digest, asked)
	version, indexes := q.FormValue("have"), q.FormValue("h")
	if version == "" || q.FormValue("delta") != openapi.Yes || !f.deltas.known {
		return list, nil
	}
	h := expand(indexes)
	if len(h) != asked {
		return nil, openapi.Errorf(openapi.CodeBadRequest, "%d chunks asked for, %d held", asked, len(h))
	}
	table := f.named(version)
	for i := range h {
		if h[i] < len(table) {
			list[i] = &table[h[i]].Digest
		}
	}
	return list, nil
}
