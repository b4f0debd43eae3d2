package versions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// stamp is in every record. The nonce makes each write differ from all others,
// so that a write whose outcome is unknown can be recognised; seq counts them.
type stamp struct {
	V     int    `json:"v"`
	Seq   uint64 `json:"seq"`
	Nonce string `json:"nonce"`
}

// recordVersion is the version of the records' JSON. A record of another version
// is not read, since writing it back could lose what it says.
const recordVersion = 1

func (s *stamp) mark() *stamp { return s }

// record is a register's value.
type record interface{ mark() *stamp }

// The states of a version's head.
const (
	statePending   = "pending"   // published, not yet checked
	stateCommitted = "committed" // readable
	stateCondemned = "condemned" // readable, about to be retired
	stateDead      = "dead"      // retired
	stateAborted   = "aborted"   // its push was given up
)

// head is the register m/<namespace>/<model>/<digest>.
type head struct {
	stamp
	State string    `json:"state"`
	Body  string    `json:"body"` // blob
	E0    uint64    `json:"e0"`
	Push  string    `json:"push"`
	By    string    `json:"by"`
	At    time.Time `json:"at"` // of the commit, later of the retirement
	facts
}

// facts describe a version so that a list need not read bodies.
type facts struct {
	Parent string `json:"parent,omitempty"`
	Size   int64  `json:"size"` // plain bytes of all files
	Files  int    `json:"files"`
	Chunks int    `json:"chunks"`
	Stored int64  `json:"stored"` // encoded bytes of its chunks
}

func (h *head) readable() bool { return h.State == stateCommitted || h.State == stateCondemned }

// tagRecord is the register t/<namespace>/<model>/<tag>. Without a digest the tag
// is deleted.
type tagRecord struct {
	stamp
	Digest string    `json:"digest"`
	Prev   string    `json:"prev"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// pushRecord is the register p/<push>.
type pushRecord struct {
	stamp
	Namespace string    `json:"ns"`
	Model     string    `json:"model"`
	Subject   string    `json:"subject"`
	Since     uint64    `json:"since"` // the epoch at P0
	List      string    `json:"list"`  // blob of the list that was active at P0
	E0        uint64    `json:"e0"`    // the epoch up to which collections are known
	Attempt   int       `json:"attempt"`
	Expires   time.Time `json:"expires"`
	State     string    `json:"state"` // openapi.PushOpen and so on
}

func (r *pushRecord) repo() name.Repo { return name.Repo{Namespace: r.Namespace, Name: r.Model} }

// hashRecord is the register h/<namespace>/<model>/<digest>.
type hashRecord struct {
	stamp
	Blob string `json:"blob"`
}

// gcRecord is the register g/state. Absent means epoch 0, idle.
type gcRecord struct {
	stamp
	Epoch uint64 `json:"epoch"`
	Phase string `json:"phase"`
	List  string `json:"list"`
}

const phaseIdle = "idle"

const gcKey = "g/state"

func tagKey(r name.Repo, tag string) string { return "t/" + r.String() + "/" + tag }

func headKey(r name.Repo, d chunker.Digest) string { return "m/" + r.String() + "/" + d.String() }

func hashKey(r name.Repo, d chunker.Digest) string { return "h/" + r.String() + "/" + d.String() }

func pushKey(id string) string { return "p/" + id }

// load reads the register key into rec and returns its version. An absent
// register leaves rec as it is and has the version registers.Absent.
func (s *Service) load(ctx context.Context, key string, rec record) (registers.Version, error) {
	val, v, err := s.Registers.Get(ctx, key)
	if errors.Is(err, registers.ErrNotFound) {
		return registers.Absent, nil
	}
	if err != nil {
		return registers.Absent, err
	}
	if err := json.Unmarshal(val, rec); err != nil {
		return registers.Absent, fmt.Errorf("read register %q: %w", key, err)
	}
	if got := rec.mark().V; got != recordVersion {
		return registers.Absent, fmt.Errorf("read register %q: version %d was written by another ingot", key, got)
	}
	return v, nil
}

// swap writes rec over the version want, which it follows, and resolves an
// unknown outcome. The error for a register that changed is registers.ErrConflict.
func (s *Service) swap(ctx context.Context, key string, want registers.Version, rec record) (registers.Version, error) {
	nonce, err := s.token(nonceLen)
	if err != nil {
		return registers.Absent, err
	}
	m := rec.mark()
	m.V, m.Seq, m.Nonce = recordVersion, m.Seq+1, nonce
	val, err := json.Marshal(rec)
	if err != nil {
		return registers.Absent, fmt.Errorf("write register %q: %w", key, err)
	}
	return registers.Settle(ctx, s.Registers, key, want, val)
}

func isConflict(err error) bool { return errors.Is(err, registers.ErrConflict) }

// each calls f with the keys below prefix that are greater than after, in order,
// until f returns false.
func (s *Service) each(ctx context.Context, prefix, after string, f func(key string) (bool, error)) error {
	for {
		page, err := s.Registers.List(ctx, prefix, after, registers.MaxList)
		if err != nil {
			return err
		}
		for _, e := range page {
			if more, err := f(e.Key); err != nil || !more {
				return err
			}
			after = e.Key
		}
		if len(page) < registers.MaxList {
			return nil
		}
	}
}

// parseKey returns the repository and the rest of a key of a repository.
func parseKey(key string) (repo name.Repo, rest string, err error) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) != 4 {
		return name.Repo{}, "", fmt.Errorf("register %q: not of a repository", key)
	}
	return name.Repo{Namespace: parts[1], Name: parts[2]}, parts[3], nil
}
