package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// listProperties are those of lists of registers.
func listProperties() []property {
	return []property{
		{
			name:  "list-after-write",
			needs: "a register is in the lists that begin after its write was acknowledged",
			do:    useAnother,
			test:  testListAfterWrite,
		},
		{
			name:  "list-order",
			needs: "lists are in the order of bytes",
			after: []string{"list-after-write"},
			do:    useAnother,
			test:  testListOrder,
		},
		{
			name:  "list-pages",
			needs: "a list goes on behind the key that it is told, keeps to its prefix, and ends at its end",
			after: []string{"list-after-write", "list-order"},
			do:    useAnother,
			test:  testListPages,
		},
		{
			name:  "list-versions",
			needs: "lists say which version a register has",
			after: []string{"list-after-write"},
			do:    useAnother,
			test:  testListVersions,
		},
		{
			name:  "list-during-writes",
			needs: "a list misses no register that was there before it began, whatever is written meanwhile",
			after: []string{"list-after-write", "list-order", "list-pages", "list-versions"},
			do:    useAnother,
			test:  testListDuringWrites,
		},
	}
}

// scan lists all registers with a prefix, in pages of n.
func (b *bench) scan(ctx context.Context, way int, prefix string, n int) ([]registers.Entry, error) {
	var all []registers.Entry
	for after := ""; ; {
		page, err := b.engine(way).List(ctx, prefix, after, n)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < n {
			return all, nil
		}
		if last := page[len(page)-1].Key; last > after {
			after = last
			continue
		}
		return nil, fmt.Errorf("a list of %q after %q ended with %q", prefix, after, page[len(page)-1].Key)
	}
}

func testListAfterWrite(ctx context.Context, b *bench) (verdict, error) {
	prefix := b.key("")
	for i := range b.reads {
		key := b.key("%03d", i)
		if _, _, err := b.write(ctx, i, key, registers.Absent); err != nil {
			return verdict{}, err
		}
		page, err := b.engine(i+1).List(ctx, prefix, "", registers.MaxList)
		if err != nil {
			return verdict{}, err
		}
		if !slices.ContainsFunc(page, func(e registers.Entry) bool { return e.Key == key }) {
			return lacks("a list misses register %d, whose write was acknowledged before", i)
		}
	}
	return seen("%d registers were each listed right after their writes", b.reads)
}

// oddNames are names whose order is not that of folders: "-" and "." come before
// "/", capitals before small letters.
func oddNames() []string {
	return []string{"B", "a", "a-b", "a.b", "a/b", "a/b.c", "ab", "ab-/x", "ab.c/d", "ab/x", "ab0", "b_", "c-", "c/x"}
}

func (b *bench) makeOdd(ctx context.Context) ([]string, error) {
	var keys []string
	for i, name := range oddNames() {
		// No key may be the folder of another.
		key := b.key("%s", strings.ReplaceAll(name, "/", "_/"))
		if _, _, err := b.write(ctx, i, key, registers.Absent); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys, nil
}

func testListOrder(ctx context.Context, b *bench) (verdict, error) {
	keys, err := b.makeOdd(ctx)
	if err != nil {
		return verdict{}, err
	}
	page, err := b.engine(0).List(ctx, b.key(""), "", registers.MaxList)
	if err != nil {
		return verdict{}, err
	}
	for i := 1; i < len(page); i++ {
		if page[i].Key <= page[i-1].Key {
			return lacks("a list has %q before %q", page[i-1].Key, page[i].Key)
		}
	}
	return seen("%d keys were listed in the order of bytes", len(keys))
}

// testListPages asks for every prefix, place and size of page.
func testListPages(ctx context.Context, b *bench) (verdict, error) {
	keys, err := b.makeOdd(ctx)
	if err != nil {
		return verdict{}, err
	}
	lists := 0
	for _, prefix := range []string{b.key(""), b.key("a"), b.key("ab"), b.key("c"), b.key("d")} {
		for _, after := range []string{"", keys[0], keys[3], keys[8], b.key("a~"), keys[len(keys)-1]} {
			for _, n := range []int{1, 3, registers.MaxList} {
				lists++
				page, err := b.engine(lists).List(ctx, prefix, after, n)
				if err != nil {
					return verdict{}, err
				}
				if wrong := wrongPage(page, keys, prefix, after, n); wrong != "" {
					return lacks("a list of %d of %q after %q %s", n, prefix, after, wrong)
				}
			}
		}
	}
	return b.pageThrough(ctx, lists)
}

// wrongPage tells what is wrong with a list of all keys that there are.
func wrongPage(page []registers.Entry, keys []string, prefix, after string, n int) string {
	var want []string
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) && key > after && len(want) < n {
			want = append(want, key)
		}
	}
	for i, e := range page {
		if i >= len(want) || e.Key != want[i] {
			return fmt.Sprintf("has %q in place %d of %d", e.Key, i+1, len(want))
		}
	}
	if len(page) < len(want) {
		return fmt.Sprintf("misses %q", want[len(page)])
	}
	return ""
}

// pageThrough lists more registers than go into one answer of the store.
func (b *bench) pageThrough(ctx context.Context, lists int) (verdict, error) {
	prefix := b.key("many/")
	if err := b.makeMany(ctx, prefix); err != nil {
		return verdict{}, err
	}
	for _, n := range []int{7, registers.MaxList} {
		entries, err := b.scan(ctx, n, prefix, n)
		if err != nil {
			return verdict{}, err
		}
		if len(entries) != b.keys {
			return lacks("%d registers were listed in pages of %d, of %d that there are", len(entries), n, b.keys)
		}
	}
	return seen("%d lists of every prefix, place and size, and %d registers in pages", lists, b.keys)
}

// makeMany makes registers, several at a time.
func (b *bench) makeMany(ctx context.Context, prefix string) error {
	return together(b.writers, func(w int) error {
		for i := w; i < b.keys; i += b.writers {
			if _, _, err := b.write(ctx, w, fmt.Sprintf("%s%05d", prefix, i), registers.Absent); err != nil {
				return err
			}
		}
		return nil
	})
}

func testListVersions(ctx context.Context, b *bench) (verdict, error) {
	key := b.key("k")
	version := registers.Absent
	for i := range b.reads {
		now, _, err := b.write(ctx, i, key, version)
		if err != nil {
			return verdict{}, err
		}
		version = now
		page, err := b.engine(i+1).List(ctx, key, "", 1)
		if err != nil {
			return verdict{}, err
		}
		if len(page) != 1 || page[0].Version != version {
			return lacks("after write %d a list says another version than the write did: %.80q", i+1, page)
		}
	}
	return seen("the lists after %d writes had the versions of these", b.reads)
}
