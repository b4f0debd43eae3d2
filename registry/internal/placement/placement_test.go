package placement_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

func sample() *placement.Body {
	base := placement.Entry{Object: "c/aaa/base", Length: 70}
	return &placement.Body{
		Document: []byte("a document"),
		Entries: []placement.Entry{
			{Object: "c/abc/first.push.0", Length: 300_000},
			{Object: "u/push/bundle", Offset: 56, Length: 17},
			{Object: "u/push/bundle", Offset: 73, Length: 1},
			{Object: "c/abc/delta", Length: 9, Closure: []placement.Entry{base, {Object: "c/abc/first.push.0", Offset: 1, Length: 2}}},
		},
	}
}

// based is sample where what was spent is known.
func based() *placement.Body {
	b := sample()
	b.Entries[3].Closure[0].Spent, b.Entries[3].Closure[1].Spent = 9, 1<<32-1
	return b
}

func items() []placement.Item {
	return []placement.Item{
		{Digest: chunker.Sum([]byte("a")), Plain: 5, Length: 30},
		{Digest: chunker.Sum([]byte("b")), Plain: chunker.MaxSize, Length: 1},
	}
}

// basedItems is items where one is a delta.
func basedItems() []placement.Item {
	list := items()
	list[1].Base = chunker.Sum([]byte("c"))
	return list
}

func lists() []string { return []string{"c/b", "c/a", "u/z/1"} }

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s changed: registries of before could not be read\n%x", name, got)
	}
}

func TestGolden(t *testing.T) {
	golden(t, "v1.body", sample().Encode())
	golden(t, "v1.bundle", append(placement.BundleHeader(items()), make([]byte, 31)...))
	golden(t, "v2.body", based().Encode())
	golden(t, "v2.bundle", append(placement.BundleHeader(basedItems()), make([]byte, 31)...))
	golden(t, "v1.list", placement.EncodeList(lists()))
}

func TestBody(t *testing.T) {
	got, err := placement.ParseBody(sample().Encode())
	if want := sample(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := placement.ParseBody(based().Encode()); err != nil || !reflect.DeepEqual(got, based()) {
		t.Errorf("got %+v, %v", got, err)
	}
	names := slices.Collect(got.Entries[3].Names)
	if want := []string{"c/abc/delta", "c/aaa/base", "c/abc/first.push.0"}; !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	if b, err := placement.ParseBody((&placement.Body{}).Encode()); err != nil || len(b.Entries) != 0 {
		t.Errorf("empty body: %+v, %v", b, err)
	}
}

func TestBundle(t *testing.T) {
	for _, want := range [][]placement.Item{items(), basedItems()} {
		testBundle(t, want)
	}
}

func testBundle(t *testing.T, want []placement.Item) {
	header := placement.BundleHeader(want)
	if want[0].Offset != uint32(len(header)) || want[1].Offset != want[0].Offset+30 {
		t.Fatalf("header of %d bytes, offsets %d and %d", len(header), want[0].Offset, want[1].Offset)
	}
	if n, err := placement.ParseBundlePrefix(header[:placement.BundlePrefix]); n != len(header) || err != nil {
		t.Errorf("prefix says %d bytes of %d, %v", n, len(header), err)
	}
	size := int64(len(header)) + 31
	if got, err := placement.ParseBundleHeader(header, size); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, n := range []int64{0, size - 1, size + 1} {
		if _, err := placement.ParseBundleHeader(header, n); !errors.Is(err, placement.ErrInvalid) {
			t.Errorf("bundle of %d bytes: %v", n, err)
		}
	}
}

func TestList(t *testing.T) {
	got, err := placement.ParseList(placement.EncodeList(lists()))
	if want := []string{"c/a", "c/b", "u/z/1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := placement.ParseList(placement.EncodeList(nil)); err != nil || len(got) != 0 {
		t.Errorf("empty list: %q, %v", got, err)
	}
}

// TestPrefixesAndTails cuts every document short and makes it longer.
func TestPrefixesAndTails(t *testing.T) {
	header := placement.BundleHeader(basedItems())
	for name, doc := range map[string]struct {
		b     []byte
		parse func([]byte) error
	}{
		"body":   {based().Encode(), func(b []byte) error { _, err := placement.ParseBody(b); return err }},
		"list":   {placement.EncodeList(lists()), func(b []byte) error { _, err := placement.ParseList(b); return err }},
		"bundle": {header, func(b []byte) error { _, err := placement.ParseBundleHeader(b, int64(len(header))+31); return err }},
		"prefix": {header[:placement.BundlePrefix], func(b []byte) error { _, err := placement.ParseBundlePrefix(b); return err }},
	} {
		for n := range doc.b {
			if err := doc.parse(doc.b[:n]); !errors.Is(err, placement.ErrInvalid) {
				t.Errorf("%s of %d bytes: %v", name, n, err)
			}
		}
		if err := doc.parse(append(slices.Clone(doc.b), 0)); !errors.Is(err, placement.ErrInvalid) {
			t.Errorf("%s with a tail: %v", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	change := func(f func([]byte)) []byte {
		b := sample().Encode()
		f(b)
		return b
	}
	with := func(f func(*placement.Body)) []byte {
		b := sample()
		f(b)
		return b.Encode()
	}
	// two has two entries, and gives one of them another name.
	two := func(entry int, name byte) []byte {
		b := (&placement.Body{Entries: []placement.Entry{{Object: "a", Length: 1}, {Object: "b", Length: 1}}}).Encode()
		b[len(b)-(2-entry)*13] = name
		return b
	}
	// spent0 is version 2, and says of no base what was spent.
	spent0 := based().Encode()
	clear(spent0[len(spent0)-4:])
	clear(spent0[len(spent0)-20:][:4])
	for name, b := range map[string][]byte{
		"magic":           change(func(b []byte) { b[0] = 'X' }),
		"version":         change(func(b []byte) { b[6] = 3 }),
		"nothing spent":   spent0,
		"document length": change(func(b []byte) { binary.LittleEndian.PutUint32(b[8:], 1<<31) }),
		"name":            with(func(b *placement.Body) { b.Entries[0].Object = "../x" }),
		"empty name":      with(func(b *placement.Body) { b.Entries[0].Object = "" }),
		"no bytes":        with(func(b *placement.Body) { b.Entries[1].Length = 0 }),
		"deep closure": with(func(b *placement.Body) {
			b.Entries[0].Closure = slices.Repeat([]placement.Entry{{Object: "x", Length: 1}}, 5)
		}),
		"name in disuse": two(1, 0),
		"names in order": two(0, 1),
		"name beyond":    two(1, 2),
	} {
		if got, err := placement.ParseBody(b); !errors.Is(err, placement.ErrInvalid) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	header := placement.BundleHeader(basedItems())
	clear(header[len(header)-chunker.DigestSize:])
	if got, err := placement.ParseBundleHeader(header, int64(len(header)+31)); !errors.Is(err, placement.ErrInvalid) {
		t.Errorf("a bundle of version 2 without deltas: got %+v, %v", got, err)
	}
	unsorted := placement.EncodeList([]string{"c/a", "c/b"})
	copy(unsorted[len(unsorted)-3:], "c/a")
	if _, err := placement.ParseList(unsorted); !errors.Is(err, placement.ErrInvalid) {
		t.Errorf("a list with a name twice: %v", err)
	}
}

// large is the body of a 140 GB model.
func large() *placement.Body {
	b := &placement.Body{Document: make([]byte, 3<<20)}
	for i := range 70_000 {
		d := chunker.Sum(binary.LittleEndian.AppendUint32(nil, uint32(i))).String()
		b.Entries = append(b.Entries, placement.Entry{Object: fmt.Sprintf("c/%s/%s.0123456789abcdef0123.0", d[:3], d), Length: 1 << 20})
	}
	return b
}

func TestLargeBody(t *testing.T) {
	if n := len(large().Encode()); n > 12<<20 {
		t.Errorf("the body of a 140 GB model has %d bytes", n)
	}
}

func BenchmarkEncodeBody(b *testing.B) {
	body := large()
	for b.Loop() {
		body.Encode()
	}
}

func BenchmarkParseBody(b *testing.B) {
	raw := large().Encode()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := placement.ParseBody(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParseBody(f *testing.F) {
	f.Add(sample().Encode())
	f.Add(based().Encode())
	f.Add((&placement.Body{}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := placement.ParseBody(b)
		if err != nil {
			if !errors.Is(err, placement.ErrInvalid) {
				t.Fatalf("unknown error: %v", err)
			}
			return
		}
		if again := body.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x has another encoding: %x", b, again)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	for _, list := range [][]placement.Item{items(), basedItems()} {
		header := placement.BundleHeader(list)
		f.Add(header, int64(len(header)+31))
	}
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		got, err := placement.ParseBundleHeader(b, size)
		if err != nil {
			return
		}
		if again := placement.BundleHeader(got); !bytes.Equal(again, b) {
			t.Fatalf("%x has another encoding: %x", b, again)
		}
	})
}

func FuzzParseList(f *testing.F) {
	f.Add(placement.EncodeList(lists()))
	f.Fuzz(func(t *testing.T, b []byte) {
		names, err := placement.ParseList(b)
		if err != nil {
			return
		}
		if again := placement.EncodeList(names); !bytes.Equal(again, b) {
			t.Fatalf("%x has another encoding: %x", b, again)
		}
	})
}
