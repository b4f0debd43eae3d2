package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// useAnother is what to do about most of what is missing.
const useAnother = "use another store; docs/operate.md lists those that are known to do"

// registerProperties are those that one caller sees.
func registerProperties() []property {
	return []property{
		{
			name:  "read-after-write",
			needs: "what was acknowledged is what everybody reads next",
			do:    useAnother + "; if a cache stands before this one, go around it",
			test:  testReadAfterWrite,
		},
		{
			name:  "create-refused",
			needs: "a write that is to make a register leaves one that is there",
			after: []string{"read-after-write"},
			do:    useAnother,
			test:  testCreateRefused,
		},
		{
			name:  "overwrite-refused",
			needs: "a write over a version that is not the last is refused",
			after: []string{"read-after-write"},
			do:    useAnother,
			test:  testOverwriteRefused,
		},
		{
			name:  "missing-refused",
			needs: "a write over a version of a register that is not there is refused",
			after: []string{"read-after-write"},
			do:    useAnother,
			test:  testMissingRefused,
		},
		{
			name:  "versions-differ",
			needs: "equal values have different versions",
			do:    useAnother,
			test:  testVersionsDiffer,
		},
		{
			name:  "late-retry",
			needs: "a write that arrives once more, late, changes nothing",
			after: []string{"read-after-write", "create-refused", "overwrite-refused"},
			do:    useAnother + "; if a proxy that repeats requests stands before this one, go around it",
			test:  testLateRetry,
		},
		{
			name:  "register-sizes",
			needs: fmt.Sprintf("keys of %d bytes and values of %d", registers.MaxKey, registers.MaxValue),
			do:    useAnother + ", or a shorter prefix",
			test:  testRegisterSizes,
		},
	}
}

// testReadAfterWrite reads before there is anything, so that whoever remembers
// what is absent does it, and through every way after each write.
func testReadAfterWrite(ctx context.Context, b *bench) (verdict, error) {
	for i := range b.reads {
		key := b.key("%d", i)
		for way := range b.Registers {
			if _, _, err := b.engine(way).Get(ctx, key); !errors.Is(err, registers.ErrNotFound) {
				return lacks("a register that nobody made was read with %v", err)
			}
		}
		version := registers.Absent
		for n := range 2 {
			now, val, err := b.write(ctx, i, key, version)
			if err != nil {
				return verdict{}, err
			}
			version = now
			for way := range b.Registers {
				same, err := b.holds(ctx, i+way, key, val, version)
				if err != nil {
					return verdict{}, err
				}
				if !same {
					return lacks("after write %d of register %d, another connection read what was there before", n+1, i)
				}
			}
		}
	}
	return seen("%d writes, each read right away through %s", 2*b.reads, ways(len(b.Registers)))
}

// ways spells a number of clients.
func ways(n int) string {
	if n == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", n)
}

func testCreateRefused(ctx context.Context, b *bench) (verdict, error) {
	key := b.key("k")
	version, val, err := b.write(ctx, 0, key, registers.Absent)
	if err != nil {
		return verdict{}, err
	}
	return b.keeps(ctx, key, version, val, "a second write that was to make the register",
		attempt{registers.Absent, nil}, attempt{registers.Absent, nil})
}

func testOverwriteRefused(ctx context.Context, b *bench) (verdict, error) {
	key := b.key("k")
	old, _, err := b.write(ctx, 0, key, registers.Absent)
	if err != nil {
		return verdict{}, err
	}
	version, val, err := b.write(ctx, 1, key, old)
	if err != nil {
		return verdict{}, err
	}
	return b.keeps(ctx, key, version, val, "a write over a version that was no longer there",
		attempt{old, nil}, attempt{old, nil})
}

// attempt is a write that has to be refused. Its value is a new one, if it is nil.
type attempt struct {
	want registers.Version
	val  []byte
}

// keeps makes attempts to write over a register that holds val, and looks whether
// it still does after each.
func (b *bench) keeps(ctx context.Context, key string, version registers.Version, val []byte, what string, attempts ...attempt) (verdict, error) {
	for i, a := range attempts {
		if a.val == nil {
			var err error
			if a.val, err = b.unique(0); err != nil {
				return verdict{}, err
			}
		}
		refused, err := b.refused(ctx, i, key, a.want, a.val)
		if err != nil {
			return verdict{}, err
		}
		same, err := b.holds(ctx, i+1, key, val, version)
		if err != nil {
			return verdict{}, err
		}
		if !refused {
			return lacks("%s was acknowledged", what)
		}
		if !same {
			return lacks("%s was refused, and has happened all the same", what)
		}
	}
	return seen("%s was refused, %d times", what, len(attempts))
}

func testMissingRefused(ctx context.Context, b *bench) (verdict, error) {
	version, val, err := b.write(ctx, 0, b.key("there"), registers.Absent)
	if err != nil {
		return verdict{}, err
	}
	key := b.key("missing")
	refused, err := b.refused(ctx, 0, key, version, val)
	if err != nil {
		return verdict{}, err
	}
	_, _, err = b.engine(1).Get(ctx, key)
	if !refused || !errors.Is(err, registers.ErrNotFound) {
		return lacks("a write over a version of a register that was never made: refused %v; then it was read with %v", refused, err)
	}
	return seen("it was refused and has made nothing")
}

// testVersionsDiffer writes two values in turn.
func testVersionsDiffer(ctx context.Context, b *bench) (verdict, error) {
	const writes = 6
	seenVersions := map[registers.Version]bool{}
	version := registers.Absent
	for i := range writes {
		now, err := registers.Settle(ctx, b.engine(0), b.key("k"), version, []byte{'a' + byte(i%2)})
		if err != nil {
			return verdict{}, err
		}
		if seenVersions[now] || now == registers.Absent {
			return lacks("write %d of a value that was there before got a version that was there before", i+1)
		}
		seenVersions[now] = true
		version = now
	}
	return seen("%d writes of two values in turn got %d versions", writes, writes)
}

// testLateRetry repeats writes that have happened, with the same bytes and the
// same wish, while the register is as they left it and after it has moved on.
func testLateRetry(ctx context.Context, b *bench) (verdict, error) {
	key := b.key("k")
	first, made, err := b.write(ctx, 0, key, registers.Absent)
	if err != nil {
		return verdict{}, err
	}
	second, changed, err := b.write(ctx, 1, key, first)
	if err != nil {
		return verdict{}, err
	}
	v, err := b.keeps(ctx, key, second, changed, "a write that arrived again",
		attempt{registers.Absent, made}, attempt{first, changed})
	if err != nil || v.state != OK {
		return v, err
	}
	third, last, err := b.write(ctx, 0, key, second)
	if err != nil {
		return verdict{}, err
	}
	return b.keeps(ctx, key, third, last, "a write that arrived again after others",
		attempt{first, changed}, attempt{registers.Absent, made}, attempt{second, last})
}

// longest returns a name of n bytes, as the longest of ours are made.
func longest(prefix string, n int) string {
	name := prefix
	for len(name) < n {
		name += "/" + strings.Repeat("n", min(120, n-len(name)-1))
	}
	if strings.HasSuffix(name, "/") { // there was room for a slash only
		name = name[:len(name)-1] + "n"
	}
	return name
}

func testRegisterSizes(ctx context.Context, b *bench) (verdict, error) {
	val, err := b.unique(registers.MaxValue)
	if err != nil {
		return verdict{}, err
	}
	names := []string{
		longest(b.key("long"), registers.MaxKey),
		longest(b.key("long"), registers.MaxKey-1) + "x", // differs at the end only
		b.key("case"), b.key("CASE"),
		b.key("odd/a..b_-."), b.key("odd/-"),
	}
	for i, key := range names {
		own := append([]byte{byte('0' + i)}, val[1:]...)
		version, err := registers.Settle(ctx, b.engine(i), key, registers.Absent, own)
		if err != nil {
			return lacks("register %.60q of %d bytes, with a value of %d: %v", key, len(key), len(own), err)
		}
		got, now, err := b.engine(i).Get(ctx, key)
		if err != nil || now != version || string(got) != string(own) {
			return lacks("register %.60q of %d bytes holds %d bytes that differ from the %d written: %v", key, len(key), len(got), len(own), err)
		}
	}
	return seen("keys of %d bytes and values of %d came back", registers.MaxKey, registers.MaxValue)
}
