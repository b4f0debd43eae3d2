package soak_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// contents is everything that a store holds, as docs/formats/registry.md describes
// it.
type contents struct {
	registers map[string][]byte // by key
	blobs     map[string]int64  // bytes, by name
	read      func(blob string) ([]byte, error)
}

// need is why a blob is in the store.
type need struct {
	versions map[string]bool // named by a head
	pushes   map[string]bool // ids of pushes that are open
	swept    map[string]bool // deleted by some collection, never to come back
}

// compare finds what is lost and what is leaked.
func (r *round) compare(c *contents) {
	n, err := c.need(time.Now())
	if err != nil {
		r.tally.broken("what the store holds: %v", err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(n.versions)) {
		if _, there := c.blobs[name]; !there {
			r.tally.find(lost, "a version names %s, which is not there", name)
		}
		if n.swept[name] {
			r.tally.find(lost, "a version names %s, which a collection has chosen to delete", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.blobs)) {
		switch {
		case n.versions[name], strings.HasPrefix(name, "gl/"):
		case n.ofPush(name):
			r.tally.did("blobs of open pushes")
			if r.whole {
				r.tally.find(leaked, "%s, of a push that should have expired", name)
			}
		default:
			r.tally.find(leaked, "%s", name)
		}
	}
	r.ledger.note("the store holds %d registers and %d blobs, versions need %d", len(c.registers), len(c.blobs), len(n.versions))
}

// ofPush tells a blob that an open push has uploaded, or may name.
func (n *need) ofPush(blob string) bool {
	for part := range strings.FieldsFuncSeq(blob, func(c rune) bool { return c == '/' || c == '.' }) {
		if n.pushes[part] {
			return true
		}
	}
	return false
}

// need reads all registers, and the bodies of all versions.
func (c *contents) need(now time.Time) (*need, error) {
	n := &need{versions: map[string]bool{}, pushes: map[string]bool{}, swept: map[string]bool{}}
	for _, key := range slices.Sorted(maps.Keys(c.registers)) {
		var err error
		switch value := c.registers[key]; key[:2] {
		case "m/":
			err = c.head(n, value)
		case "p/":
			err = n.push(key, value, now)
		case "h/":
			err = c.hashes(n, key, value)
		}
		if err != nil {
			return nil, fmt.Errorf("register %s: %w", key, err)
		}
	}
	for blob := range c.blobs {
		if strings.HasPrefix(blob, "gl/") && strings.HasSuffix(blob, ".S") {
			b, err := c.read(blob)
			if err != nil {
				return nil, err
			}
			names, err := listed(b)
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", blob, err)
			}
			for _, name := range names {
				n.swept[name] = true
			}
		}
	}
	return n, nil
}

func (c *contents) head(n *need, value []byte) error {
	var h struct{ State, Body, Next string }
	if err := json.Unmarshal(value, &h); err != nil {
		return err
	}
	if h.State == "dead" || h.State == "aborted" {
		return nil
	}
	for _, body := range []string{h.Body, h.Next} {
		if body == "" {
			continue
		}
		b, err := c.read(body)
		if err != nil {
			return fmt.Errorf("%s: %w", h.State, err)
		}
		objects, err := objects(b)
		if err != nil {
			return fmt.Errorf("body %s: %w", body, err)
		}
		n.versions[body] = true
		for _, o := range objects {
			n.versions[o] = true
		}
	}
	return nil
}

func (n *need) push(key string, value []byte, now time.Time) error {
	var p struct {
		State   string
		Expires time.Time
	}
	if err := json.Unmarshal(value, &p); err != nil {
		return err
	}
	if p.State == "open" && p.Expires.After(now) {
		n.pushes[strings.TrimPrefix(key, "p/")] = true
	}
	return nil
}

func (c *contents) hashes(n *need, key string, value []byte) error {
	var h struct{ Blob string }
	var head struct{ State string }
	if err := errors.Join(json.Unmarshal(value, &h), json.Unmarshal(c.registers["m"+key[1:]], &head)); err != nil {
		return err
	}
	if head.State == "committed" || head.State == "condemned" {
		n.versions[h.Blob] = true
	}
	return nil
}

var errDocument = errors.New("not as the formats are described")

// objects returns the names of the objects that a body needs.
func objects(b []byte) ([]string, error) {
	if len(b) < 12 || string(b[:6]) != "INGOTB" {
		return nil, errDocument
	}
	manifest := uint64(binary.LittleEndian.Uint32(b[8:]))
	if uint64(len(b)) < 12+manifest {
		return nil, errDocument
	}
	return names(b[12+manifest:])
}

// listed returns the names of a list.
func listed(b []byte) ([]string, error) {
	if len(b) < 12 || string(b[:6]) != "INGOTL" {
		return nil, errDocument
	}
	return names(b[8:])
}

// names reads a number and so many names.
func names(b []byte) ([]string, error) {
	if len(b) < 4 {
		return nil, errDocument
	}
	var all []string
	count := binary.LittleEndian.Uint32(b)
	b = b[4:]
	for range count {
		if len(b) < 2 {
			return nil, errDocument
		}
		n := int(binary.LittleEndian.Uint16(b))
		if len(b) < 2+n {
			return nil, errDocument
		}
		all = append(all, string(b[2:2+n]))
		b = b[2+n:]
	}
	return all, nil
}
