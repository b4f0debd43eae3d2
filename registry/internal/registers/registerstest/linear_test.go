package registerstest

import (
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// TestModel shows that the check can fail: each history is one call after the
// other, so that there is one order only.
func TestModel(t *testing.T) {
	type step struct {
		in  call
		out answer
	}
	get := func(val, version string) step {
		return step{call{key: "k"}, answer{val: val, version: registers.Version(version)}}
	}
	cas := func(want, val string, out answer) step {
		return step{call{key: "k", write: true, want: registers.Version(want), val: val}, out}
	}
	ok := func(version string) answer { return answer{version: registers.Version(version)} }
	conflict, unknown := answer{conflict: true}, answer{unknown: true}
	tests := []struct {
		name  string
		good  bool
		steps []step
	}{
		{"read after write", true, []step{get("", ""), cas("", "a", ok("1")), get("a", "1"), cas("1", "b", ok("2"))}},
		{"stale read", false, []step{cas("", "a", ok("1")), cas("1", "b", ok("2")), get("a", "1")}},
		{"lost update", false, []step{cas("", "a", ok("1")), cas("1", "b", ok("2")), cas("1", "c", ok("3"))}},
		{"two makers", false, []step{cas("", "a", ok("1")), cas("", "b", ok("2"))}},
		{"conflict", true, []step{cas("", "a", ok("1")), cas("", "b", conflict), get("a", "1")}},
		{"conflict that wrote", false, []step{cas("", "a", ok("1")), cas("", "b", conflict), get("b", "2")}},
		{"needless conflict", false, []step{cas("", "a", conflict)}},
		{"other version", false, []step{cas("", "a", ok("1")), get("a", "2")}},
		{"unknown that wrote", true, []step{cas("", "a", unknown), get("a", "1"), cas("1", "b", ok("2"))}},
		{"unknown that did not", true, []step{cas("", "a", unknown), get("", ""), cas("", "b", ok("2"))}},
		{"unknown of a past version", false, []step{cas("", "a", ok("1")), cas("", "b", unknown), get("b", "2")}},
		{"unknown that comes and goes", false, []step{cas("", "a", unknown), get("a", "1"), get("", "")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var history []porcupine.Operation
			for i, s := range tt.steps {
				history = append(history, porcupine.Operation{Input: s.in, Output: s.out, Call: int64(2 * i), Return: int64(2*i + 1)})
			}
			if got := linearizable(history); got != tt.good {
				t.Errorf("linearizable is %v, want %v", got, tt.good)
			}
		})
	}
}
