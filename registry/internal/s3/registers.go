package s3

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// Registers is a registers.Engine: each register is one object, and its version the
// object's ETag.
type Registers struct {
	space *Space
	turns *turns // nil unless one process writes alone
}

// The object of a register: a line with a nonce, and then the value. The nonce gives
// equal values different ETags, which most stores make of the bytes alone, and tells
// a writer its own write.
const (
	objectMagic = "ingot1 "
	nonceLen    = 16
	objectHead  = len(objectMagic) + 2*nonceLen + 1
	maxObject   = int64(objectHead + registers.MaxValue)
)

// encode returns the object of a value.
func encode(nonce [nonceLen]byte, val []byte) []byte {
	b := make([]byte, 0, objectHead+len(val))
	b = append(b, objectMagic...)
	b = hex.AppendEncode(b, nonce[:])
	b = append(b, '\n')
	return append(b, val...)
}

// decode returns the value of an object.
func decode(b []byte) ([]byte, error) {
	line, val, ok := bytes.Cut(b, []byte("\n"))
	if !ok || len(line)+1 != objectHead || !bytes.HasPrefix(line, []byte(objectMagic)) {
		return nil, fmt.Errorf("it begins with %.60q: %w", b[:min(len(b), 60)], ErrAnswer)
	}
	return val, nil
}

// Get implements registers.Engine.
func (r *Registers) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	if err := registers.CheckKey(key); err != nil {
		return nil, registers.Absent, fmt.Errorf("get register: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, registers.Absent, fmt.Errorf("get register %q: %w", key, err)
	}
	done, err := r.turn(ctx, key)
	if err != nil {
		return nil, registers.Absent, fmt.Errorf("get register %q: %w", key, err)
	}
	defer done()
	b := r.space.home()
	object, etag, err := b.small(ctx, r.space.root+registersRoot+key, maxObject)
	if errors.Is(err, errAbsent) {
		return nil, registers.Absent, fmt.Errorf("get register %q: %w", key, registers.ErrNotFound)
	}
	if err != nil {
		return nil, registers.Absent, fmt.Errorf("get register %q: %w", key, b.explain(err))
	}
	val, err := decode(object)
	if err != nil {
		return nil, registers.Absent, fmt.Errorf("get register %q: %w", key, err)
	}
	return val, registers.Version(etag), nil
}

// CAS implements registers.Engine by one conditional PUT.
func (r *Registers) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	if err := registers.CheckWrite(key, val); err != nil {
		return registers.Absent, fmt.Errorf("write register: %w", err)
	}
	if want != registers.Absent && !validETag(string(want)) {
		return registers.Absent, fmt.Errorf("write register %q: no register has version %.80q: %w", key, want, registers.ErrConflict)
	}
	var nonce [nonceLen]byte
	if _, err := io.ReadFull(r.space.rand, nonce[:]); err != nil {
		return registers.Absent, fmt.Errorf("write register %q: draw a nonce: %w", key, err)
	}
	done, err := r.turn(ctx, key)
	if err != nil {
		return registers.Absent, fmt.Errorf("write register %q: %w", key, err)
	}
	defer done()
	if err := ctx.Err(); err != nil {
		return registers.Absent, fmt.Errorf("write register %q: %w", key, err)
	}
	version, err := r.swap(ctx, key, want, encode(nonce, val))
	if err != nil {
		return registers.Absent, fmt.Errorf("write register %q: %w", key, err)
	}
	return version, nil
}

// turn waits for the caller's turn at a register, if this process writes alone. Who
// reads takes one too: a store that needs turns may give an old object the ETag of the
// one that is about to replace it.
func (r *Registers) turn(ctx context.Context, key string) (done func(), err error) {
	if r.turns == nil {
		return func() {}, nil
	}
	return r.turns.wait(ctx, key)
}

// swap sends the PUT and says what its answer means.
func (r *Registers) swap(ctx context.Context, key string, want registers.Version, object []byte) (registers.Version, error) {
	b, path := r.space.home(), r.space.root+registersRoot+key
	etag, err := b.put(ctx, path, condition{string(want)}, sha256Hex(object), object)
	resp, _ := response(err)
	switch {
	case err == nil:
		return registers.Version(etag), nil
	case resp.StatusCode == http.StatusPreconditionFailed, want != registers.Absent && absent(err):
		return r.lost(ctx, path, object)
	case refused(err), unsent(err):
		return registers.Absent, b.explain(err)
	}
	return registers.Absent, fmt.Errorf("%w: %w", registers.ErrUnknown, b.explain(err))
}

// lost is called when the store says that another write was first. That may have
// been this one: something between us and the store may have sent it twice, and the
// second finds the first. What is there tells.
func (r *Registers) lost(ctx context.Context, path string, object []byte) (registers.Version, error) {
	there, etag, err := r.space.home().smallOnce(ctx, path, maxObject)
	if err == nil && bytes.Equal(there, object) {
		return registers.Version(etag), nil
	}
	return registers.Absent, registers.ErrConflict
}

// List implements registers.Engine.
func (r *Registers) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	if err := errors.Join(registers.CheckList(n), ctx.Err()); err != nil {
		return nil, fmt.Errorf("list registers %q: %w", prefix, err)
	}
	if !possible(prefix) {
		return nil, nil
	}
	b, root := r.space.home(), r.space.root+registersRoot
	var entries []registers.Entry
	for object, err := range b.list(ctx, root+prefix, root+plainStart(after), n) {
		if err != nil {
			return nil, fmt.Errorf("list registers %q: %w", prefix, b.explain(err))
		}
		key := strings.TrimPrefix(object.Key, root)
		if key <= after || registers.CheckKey(key) != nil {
			continue // it is not ours
		}
		if !validETag(object.ETag) {
			return nil, fmt.Errorf("list registers %q: %q has the ETag %.80q: %w", prefix, key, object.ETag, ErrAnswer)
		}
		if entries = append(entries, registers.Entry{Key: key, Version: registers.Version(object.ETag)}); len(entries) == n {
			break
		}
	}
	return entries, nil
}
