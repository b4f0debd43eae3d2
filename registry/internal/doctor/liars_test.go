package doctor_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/doctor"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// liar is an engine that answers as its functions say, and as the engine behind it
// where it has none.
type liar struct {
	registers.Engine
	get  func(ctx context.Context, key string) ([]byte, registers.Version, error)
	cas  func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error)
	list func(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error)
}

func (l *liar) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	if l.get != nil {
		return l.get(ctx, key)
	}
	return l.Engine.Get(ctx, key)
}

func (l *liar) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	if l.cas != nil {
		return l.cas(ctx, key, want, val)
	}
	return l.Engine.CAS(ctx, key, want, val)
}

func (l *liar) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	if l.list != nil {
		return l.list(ctx, prefix, after, n)
	}
	return l.Engine.List(ctx, prefix, after, n)
}

// force writes whatever the version is.
func force(ctx context.Context, e registers.Engine, key string, val []byte) (registers.Version, error) {
	for {
		_, now, err := e.Get(ctx, key)
		if err != nil && !errors.Is(err, registers.ErrNotFound) {
			return now, err
		}
		version, err := e.CAS(ctx, key, now, val)
		if !errors.Is(err, registers.ErrConflict) {
			return version, err
		}
	}
}

// twoSteps is an engine that compares, pauses, and then writes, where it is told
// to.
func twoSteps(e registers.Engine, l *liar, when func(want registers.Version) bool) {
	l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
		if !when(want) {
			return e.CAS(ctx, key, want, val)
		}
		if _, now, _ := e.Get(ctx, key); now != want { // absent is a version too
			return registers.Absent, registers.ErrConflict
		}
		time.Sleep(time.Millisecond)
		return force(ctx, e, key, val)
	}
}

// registerLiars are lies about registers, each with the property that finds it.
var registerLiars = []struct {
	finds string
	lie   string
	tell  func(e registers.Engine, l *liar)
}{
	{"read-after-write", "a read may be as old as one write", func(e registers.Engine, l *liar) {
		var mu sync.Mutex
		type value struct {
			val     []byte
			version registers.Version
		}
		before := map[string]value{}
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			old, was, _ := e.Get(ctx, key) // absent is a value too
			version, err := e.CAS(ctx, key, want, val)
			if err == nil && was != registers.Absent {
				mu.Lock()
				before[key] = value{old, was}
				mu.Unlock()
			}
			return version, err
		}
		l.get = func(ctx context.Context, key string) ([]byte, registers.Version, error) {
			mu.Lock()
			old, ok := before[key]
			delete(before, key)
			mu.Unlock()
			if ok {
				return old.val, old.version, nil
			}
			return e.Get(ctx, key)
		}
	}},
	{"read-after-write", "what is absent is remembered for one more read", func(e registers.Engine, l *liar) {
		var mu sync.Mutex
		absent := map[string]bool{}
		l.get = func(ctx context.Context, key string) ([]byte, registers.Version, error) {
			val, version, err := e.Get(ctx, key)
			mu.Lock()
			was := absent[key]
			absent[key] = err != nil
			mu.Unlock()
			if was {
				return nil, registers.Absent, registers.ErrNotFound
			}
			return val, version, err
		}
	}},
	{"create-refused", "a register that is there can be made again", func(e registers.Engine, l *liar) {
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			if want == registers.Absent {
				return force(ctx, e, key, val)
			}
			return e.CAS(ctx, key, want, val)
		}
	}},
	{"create-refused", "a refused creation has happened", func(e registers.Engine, l *liar) {
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			version, err := e.CAS(ctx, key, want, val)
			if want == registers.Absent && errors.Is(err, registers.ErrConflict) {
				_, _ = force(ctx, e, key, val)
			}
			return version, err
		}
	}},
	{"overwrite-refused", "the version does not matter", func(e registers.Engine, l *liar) {
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			if _, now, _ := e.Get(ctx, key); want != registers.Absent && now != registers.Absent {
				return force(ctx, e, key, val)
			}
			return e.CAS(ctx, key, want, val)
		}
	}},
	{"missing-refused", "a version of what is not there makes it", func(e registers.Engine, l *liar) {
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			if _, now, _ := e.Get(ctx, key); now == registers.Absent {
				want = registers.Absent
			}
			return e.CAS(ctx, key, want, val)
		}
	}},
	{"versions-differ", "a version is made of the value", func(e registers.Engine, l *liar) {
		hash := func(val []byte) registers.Version {
			sum := sha256.Sum256(val)
			return registers.Version(hex.EncodeToString(sum[:]))
		}
		inner := func(ctx context.Context, key string, want registers.Version) registers.Version {
			val, now, _ := e.Get(ctx, key)
			if now != registers.Absent && hash(val) == want {
				return now
			}
			return want
		}
		l.get = func(ctx context.Context, key string) ([]byte, registers.Version, error) {
			val, version, err := e.Get(ctx, key)
			if err == nil {
				version = hash(val)
			}
			return val, version, err
		}
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			if want != registers.Absent {
				want = inner(ctx, key, want)
			}
			if _, err := e.CAS(ctx, key, want, val); err != nil {
				return registers.Absent, err
			}
			return hash(val), nil
		}
		l.list = func(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
			page, err := e.List(ctx, prefix, after, n)
			for i := range page {
				val, _, err := e.Get(ctx, page[i].Key)
				if err != nil {
					return nil, err
				}
				page[i].Version = hash(val)
			}
			return page, err
		}
	}},
	{"late-retry", "a request that was answered before is carried out again", func(e registers.Engine, l *liar) {
		var mu sync.Mutex
		done := map[string]bool{}
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			request := key + "\n" + string(want) + "\n" + string(val)
			mu.Lock()
			again := done[request]
			mu.Unlock()
			if again {
				return force(ctx, e, key, val)
			}
			version, err := e.CAS(ctx, key, want, val)
			mu.Lock()
			done[request] = err == nil
			mu.Unlock()
			return version, err
		}
	}},
	{"register-sizes", "values are cut at 32 KiB", func(e registers.Engine, l *liar) {
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			// The races hold more, and compare it; their values are cut nowhere.
			if strings.Contains(key, "/register-sizes/") {
				val = val[:min(len(val), 32<<10)]
			}
			return e.CAS(ctx, key, want, val)
		}
	}},
	{"register-sizes", "long keys are cut", func(e registers.Engine, l *liar) {
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			return e.CAS(ctx, key[:min(len(key), 500)], want, val)
		}
		l.get = func(ctx context.Context, key string) ([]byte, registers.Version, error) {
			return e.Get(ctx, key[:min(len(key), 500)])
		}
	}},
	{"register-sizes", "capitals and small letters are one", func(e registers.Engine, l *liar) {
		fold := func(key string) string {
			if strings.Contains(key, "/register-sizes/") { // lists would see it too
				return strings.ToLower(key)
			}
			return key
		}
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			return e.CAS(ctx, fold(key), want, val)
		}
		l.get = func(ctx context.Context, key string) ([]byte, registers.Version, error) { return e.Get(ctx, fold(key)) }
	}},
	{"create-atomic", "creation compares and writes in two steps", func(e registers.Engine, l *liar) {
		twoSteps(e, l, func(want registers.Version) bool { return want == registers.Absent })
	}},
	{"overwrite-atomic", "writing over compares and writes in two steps", func(e registers.Engine, l *liar) {
		twoSteps(e, l, func(want registers.Version) bool { return want != registers.Absent })
	}},
	{"read-atomic", "the version is looked up after the value", func(e registers.Engine, l *liar) {
		l.get = func(ctx context.Context, key string) ([]byte, registers.Version, error) {
			val, _, err := e.Get(ctx, key)
			if err != nil {
				return nil, registers.Absent, err
			}
			time.Sleep(time.Millisecond)
			_, version, err := e.Get(ctx, key)
			return val, version, err
		}
	}},
	{"list-after-write", "lists miss what was made last", func(e registers.Engine, l *liar) {
		var last atomic.Value
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			version, err := e.CAS(ctx, key, want, val)
			if err == nil && want == registers.Absent {
				last.Store(key)
			}
			return version, err
		}
		l.list = func(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
			page, err := e.List(ctx, prefix, after, n)
			return slices.DeleteFunc(page, func(e registers.Entry) bool { return e.Key == last.Load() }), err
		}
	}},
	{"list-order", "lists are in no order", func(e registers.Engine, l *liar) {
		l.list = func(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
			page, err := e.List(ctx, prefix, after, n)
			slices.Reverse(page)
			return page, err
		}
	}},
	{"list-pages", "a page may be shorter although more follow", func(e registers.Engine, l *liar) {
		l.list = func(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
			page, err := e.List(ctx, prefix, after, n)
			return page[:max(1, min(len(page), n-1))*min(1, len(page))], err
		}
	}},
	{"list-pages", "a list begins with the key that it is to begin behind", func(e registers.Engine, l *liar) {
		l.list = func(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
			page, err := e.List(ctx, prefix, after, n)
			if _, version, absent := e.Get(ctx, after); after != "" && absent == nil && strings.HasPrefix(after, prefix) {
				page = slices.Insert(page, 0, registers.Entry{Key: after, Version: version})
			}
			return page[:min(n, len(page))], err
		}
	}},
	{"list-versions", "lists tell the version before", func(e registers.Engine, l *liar) {
		var mu sync.Mutex
		before := map[string]registers.Version{}
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			version, err := e.CAS(ctx, key, want, val)
			if err == nil && want != registers.Absent {
				mu.Lock()
				before[key] = want
				mu.Unlock()
			}
			return version, err
		}
		l.list = func(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
			page, err := e.List(ctx, prefix, after, n)
			mu.Lock()
			defer mu.Unlock()
			for i := range page {
				if old, ok := before[page[i].Key]; ok {
					page[i].Version = old
				}
			}
			return page, err
		}
	}},
	{"list-during-writes", "a list misses a register while another is written", func(e registers.Engine, l *liar) {
		var writing atomic.Int32
		l.cas = func(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
			writing.Add(1)
			defer writing.Add(-1)
			time.Sleep(time.Millisecond)
			return e.CAS(ctx, key, want, val)
		}
		l.list = func(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
			page, err := e.List(ctx, prefix, after, n)
			if writing.Load() > 0 && len(page) > 2 { // as if a page had ended there
				page = slices.Delete(page, 1, 2)
				more, err := e.List(ctx, prefix, page[len(page)-1].Key, 1)
				return append(page, more...), err
			}
			return page, err
		}
	}},
}

func TestRegisterLiars(t *testing.T) {
	for _, tt := range registerLiars {
		t.Run(tt.finds+": "+tt.lie, func(t *testing.T) {
			t.Parallel()
			s := honest()
			l := &liar{Engine: s.Registers[0]}
			tt.tell(s.Registers[0], l)
			s.Registers = []registers.Engine{l, l}
			foundOnly(t, s, tt.finds)
		})
	}
}

// foundOnly checks that the quick examination finds one property missing.
func foundOnly(t *testing.T, s doctor.Store, property string) {
	t.Helper()
	if !whole {
		f, err := doctor.ExamineOne(t.Context(), s, property, doctor.Quick)
		if err != nil || f.State != doctor.Failed && f.State != doctor.Warning {
			t.Errorf("%s is %s, %v: %s", property, f.State, err, f.Saw)
		}
		return
	}
	found, err := doctor.Examine(t.Context(), s, doctor.Quick, nil)
	if err != nil {
		t.Fatal(err)
	}
	if missing := doctor.Missing(found); !slices.Equal(missing, []string{property}) {
		t.Errorf("found missing: %q, want %s alone", missing, property)
	}
	for _, f := range found {
		if f.State != doctor.OK {
			t.Logf("%s %s: %s", f.Property, f.State, f.Saw)
		}
	}
}

// TestNewerValue has values read with the versions of older ones, which costs
// retries, and nothing else.
func TestNewerValue(t *testing.T) {
	s := honest()
	e := s.Registers[0]
	l := &liar{Engine: e}
	l.get = func(ctx context.Context, key string) ([]byte, registers.Version, error) {
		_, version, err := e.Get(ctx, key)
		if err != nil {
			return nil, registers.Absent, err
		}
		time.Sleep(time.Millisecond)
		val, _, err := e.Get(ctx, key)
		return val, version, err
	}
	s.Registers = []registers.Engine{l, l}
	f, err := doctor.ExamineOne(t.Context(), s, "read-atomic", doctor.Quick)
	if err != nil || f.State != doctor.Warning {
		t.Errorf("it is %s, %s, %v; want a warning", f.State, f.Saw, err)
	}
}

// TestOldReplica has one of two ways read what was there before: only who asks
// through both sees it.
func TestOldReplica(t *testing.T) {
	s := honest()
	e := s.Registers[0]
	l := &liar{Engine: e}
	registerLiars[0].tell(e, l)
	l.cas = nil // writes go by, and so
	var mu sync.Mutex
	cache := map[string][]byte{}
	versions := map[string]registers.Version{}
	l.get = func(ctx context.Context, key string) ([]byte, registers.Version, error) {
		mu.Lock()
		defer mu.Unlock()
		if val, ok := cache[key]; ok {
			return val, versions[key], nil
		}
		val, version, err := e.Get(ctx, key)
		if err == nil {
			cache[key], versions[key] = val, version
		}
		return val, version, err
	}
	s.Registers = []registers.Engine{e, l}
	foundOnly(t, s, "read-after-write")
}
