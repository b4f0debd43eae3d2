package versions_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// overtaking is an engine that loses the answer of one write of a tag, and does
// something else before anybody can look.
type overtaking struct {
	registers.Engine
	happens bool // the write
	then    func()
}

func (o *overtaking) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	then := o.then
	if then == nil || !strings.HasPrefix(key, "t/") {
		return o.Engine.CAS(ctx, key, want, val)
	}
	o.then = nil
	if o.happens {
		if v, err := o.Engine.CAS(ctx, key, want, val); err != nil {
			return v, err
		}
	}
	then()
	return registers.Absent, fmt.Errorf("write %s: answer lost: %w", key, registers.ErrUnknown)
}

// TestTagIsWrittenOnce loses the answer of a write of a tag that others move
// meanwhile. A write that has happened does not happen again: it would undo what they
// have done.
func TestTagIsWrittenOnce(t *testing.T) {
	tests := []struct {
		name    string
		happens bool
		moves   int // how often others move the tag meanwhile
		want    string
		err     openapi.Code
	}{
		{"it happened", true, 1, "others", ""},
		{"it did not", false, 1, "mine", ""},
		{"nobody knows", true, 2, "others", openapi.CodeUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			at := map[string]*version{"mine": newVersion(t, chunker.Digest{}, small(1)), "others": newVersion(t, chunker.Digest{}, small(2))}
			w.push(alice, model, at["mine"], "")
			w.push(alice, model, at["others"], "main")
			other := versions.New(w.config)
			engine := &overtaking{Engine: w.engine, happens: tt.happens}
			w.config.Registers = engine
			w.restart()
			engine.then = func() {
				if err := other.DeleteTag(t.Context(), bob, model, "main", ""); err != nil {
					t.Error(err)
				}
				if tt.moves == 2 {
					if _, err := other.SetTag(t.Context(), bob, model, "main", openapi.SetTag{Digest: at["others"].digest}); err != nil {
						t.Error(err)
					}
				}
			}
			_, err := w.SetTag(t.Context(), alice, model, "main", openapi.SetTag{Digest: at["mine"].digest})
			if tt.err == "" && err != nil || tt.err != "" && !errors.Is(err, &openapi.Error{Code: tt.err}) {
				t.Fatalf("set: %v, want %q", err, tt.err)
			}
			got, err := w.Tag(t.Context(), alice, model, "main")
			switch {
			case tt.moves == 1 && tt.happens:
				wants(t, "a tag that was deleted", err, openapi.CodeNotFound)
			case err != nil || got.Digest != at[tt.want].digest:
				t.Errorf("the tag is at %s, %v, want %s", got.Digest.Short(), err, tt.want)
			}
		})
	}
}

// TestTagIsDeletedOnce is TestTagIsWrittenOnce for a delete that somebody follows
// with a new tag.
func TestTagIsDeletedOnce(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, small(1))
	w.push(alice, model, v, "main")
	other := versions.New(w.config)
	engine := &overtaking{Engine: w.engine, happens: true}
	w.config.Registers = engine
	w.restart()
	engine.then = func() {
		_, err := other.SetTag(t.Context(), bob, model, "main", openapi.SetTag{Digest: v.digest, Expect: openapi.ExpectNone})
		if err != nil {
			t.Error(err)
		}
	}
	if err := w.DeleteTag(t.Context(), alice, model, "main", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Tag(t.Context(), alice, model, "main"); err != nil || got.Digest != v.digest {
		t.Errorf("the tag that was set after the delete: %+v, %v", got, err)
	}
}
