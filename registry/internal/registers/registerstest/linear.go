package registerstest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// call is what a client asked of one register: a Get, or a CAS of val over want.
type call struct {
	key   string
	write bool
	want  registers.Version
	val   string
}

// answer is what the client got. Of a Get val and version; of a CAS version, or
// whether it conflicts or is unknown.
type answer struct {
	val               string
	version           registers.Version
	conflict, unknown bool
}

// register is the state of one register in the model. After a write whose answer
// was lost its version is not known until somebody reads it.
type register struct {
	val     string
	version registers.Version
	unknown bool
}

var model = porcupine.NondeterministicModel{
	Init:      func() []any { return []any{register{}} },
	Step:      func(s, in, out any) []any { return step(s.(register), in.(call), out.(answer)) },
	Partition: byKey,
}

// step returns the states in which a register may be after a call, none if it
// could not have answered so.
func step(s register, in call, out answer) []any {
	fits := !s.unknown && s.version == in.want
	next := register{val: in.val, version: out.version, unknown: out.unknown}
	switch {
	case !in.write && out.val == s.val && (s.unknown || out.version == s.version):
		return []any{register{val: s.val, version: out.version}}
	case !in.write:
		return nil
	case out.unknown && fits:
		return []any{s, next}
	case out.unknown || out.conflict && !fits:
		return []any{s}
	case !out.conflict && fits:
		return []any{next}
	}
	return nil
}

func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	keys := map[string][]porcupine.Operation{}
	for _, op := range history {
		key := op.Input.(call).key
		keys[key] = append(keys[key], op)
	}
	var parts [][]porcupine.Operation
	for _, part := range keys {
		parts = append(parts, part)
	}
	return parts
}

// linearizable reports whether one order of the calls explains every answer.
func linearizable(history []porcupine.Operation) bool {
	return porcupine.CheckOperationsTimeout(model.ToModel(), history, time.Minute) == porcupine.Ok
}

func testLinearizable(t *testing.T, e registers.Engine) {
	history := record(t, e, 4, 100)
	if linearizable(history) {
		return
	}
	t.Error("the history is not linearizable")
	for _, op := range history {
		t.Logf("%d to %d: client %d calls %+v, gets %+v", op.Call, op.Return, op.ClientId, op.Input, op.Output)
	}
}

// testLinearizableFlaky leaves writes behind whose outcome nobody knows. Each may
// happen at any later time, which makes the check exponential: it is short.
func testLinearizableFlaky(t *testing.T, e registers.Engine) {
	if !linearizable(record(t, NewFlaky(e, 2, 0.1), 3, 40)) {
		t.Error("the history is not linearizable")
	}
}

// record lets clients read and write a few registers at once and returns what
// they saw. Times are ticks of one clock.
func record(t *testing.T, e registers.Engine, clients, calls int) []porcupine.Operation {
	var clock atomic.Int64
	histories := make([][]porcupine.Operation, clients)
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(c), 3))
			seen := map[string]registers.Version{}
			for i := range calls {
				in := call{key: fmt.Sprintf("k%d", dice.IntN(3)), write: dice.IntN(3) > 0}
				in.want, in.val = seen[in.key], fmt.Sprintf("%d of client %d", i, c)
				op := porcupine.Operation{ClientId: c, Input: in, Call: clock.Add(1)}
				out, err := perform(t, e, in)
				if err != nil {
					t.Error(err)
					return
				}
				op.Output, op.Return = out, clock.Add(1)
				if out.unknown {
					op.Return = math.MaxInt64 // it may happen at any later time
				} else if !out.conflict {
					seen[in.key] = out.version
				}
				histories[c] = append(histories[c], op)
			}
		})
	}
	all.Wait()
	var history []porcupine.Operation
	for _, h := range histories {
		history = append(history, h...)
	}
	return history
}

// perform makes one call.
func perform(t *testing.T, e registers.Engine, in call) (answer, error) {
	if !in.write {
		val, version, err := e.Get(t.Context(), in.key)
		if errors.Is(err, registers.ErrNotFound) {
			return answer{}, nil
		}
		return answer{val: string(val), version: version}, err
	}
	version, err := e.CAS(t.Context(), in.key, in.want, []byte(in.val))
	switch {
	case errors.Is(err, registers.ErrConflict):
		return answer{conflict: true}, nil
	case errors.Is(err, registers.ErrUnknown):
		return answer{unknown: true}, nil
	}
	return answer{version: version}, err
}
