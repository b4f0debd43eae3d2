package cas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/xet"
)

// heartbeat is how often a client hears that its shard is still worked on; it gives
// up after some minutes without.
const heartbeat = 10 * time.Second

// postShard makes files of chunks.
func (c *call) postShard(version string) error {
	if err := c.writes(); err != nil {
		return err
	}
	if c.r.ContentLength > xet.MaxShard {
		return &failure{http.StatusRequestEntityTooLarge, "the body is longer than any of its kind"}
	}
	room := c.r.ContentLength
	if room < 0 {
		room = xet.MaxShard
	}
	if err := c.shards.Acquire(c.r.Context(), room); err != nil {
		return err
	}
	defer c.shards.Release(room)
	raw, err := io.ReadAll(c.body(room))
	if err != nil {
		return c.came(err)
	}
	shard, err := xet.ParseShard(raw)
	if err != nil {
		return err
	}
	w := &work{call: c, shard: shard}
	if version == "v1" {
		if err := w.run(c.r.Context(), func(int) {}); err != nil {
			return err
		}
		return c.answer(http.StatusOK, map[string]int{"result": 1})
	}
	return c.stream(w)
}

// event is a line of the answer to a shard.
type event struct {
	Type      string `json:"type"`
	Verified  *int   `json:"verified,omitempty"`
	Total     *int   `json:"total,omitempty"`
	Message   string `json:"message,omitempty"`
	Retryable *bool  `json:"retryable,omitempty"`
}

// stream answers with what becomes of the shard while it is worked on.
func (c *call) stream(w *work) error {
	ctx, cancel := context.WithCancel(c.r.Context())
	done := make(chan error, 1)
	files := make(chan int)
	go func() {
		done <- w.run(ctx, func(n int) {
			select {
			case files <- n:
			case <-ctx.Done():
			}
		})
	}()
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	total, verified := len(w.shard.Files), 0
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	var err error
	for running := true; running; {
		select {
		case n := <-files:
			verified += n
			c.say(event{Type: "validating", Verified: &verified, Total: &total})
		case <-tick.C:
			c.say(event{Type: "validating", Verified: &verified, Total: &total})
		case err = <-done:
			running = false
		}
	}
	cancel()
	if err == nil {
		c.say(event{Type: "result"})
		return nil
	}
	f := c.told(c.r.Context(), err)
	again := f.status == http.StatusTooManyRequests || f.status >= http.StatusInternalServerError
	c.say(event{Type: "error", Message: f.message, Retryable: &again})
	return nil
}

// say writes a line at once. The work goes on without a listener until its context
// ends.
func (c *call) say(e event) {
	b, err := json.Marshal(e)
	if err != nil {
		return // an event always can be marshalled
	}
	conn := http.NewResponseController(c.w)
	_ = conn.SetWriteDeadline(time.Now().Add(time.Minute)) // fails for a writer without connection
	if _, err := c.w.Write(append(b, '\n')); err == nil {
		_ = conn.Flush() // as above
	}
}

// lost is said of a xorb that nobody has.
func (c *call) lost(ctx context.Context, hash xet.Hash) error {
	if _, err := c.drawRealm(ctx, c.asks.Subject, c.repo.Namespace, c.realm); err != nil {
		return err
	}
	return &failure{http.StatusNotFound, fmt.Sprintf(
		"xorb %.12s was sent to this registry once, and is gone: run the upload again, which sends all anew; if it says this again, delete the folder xet in the cache of Hugging Face", hash)}
}

// isLost tells that chunks are gone, rather than that something failed.
func isLost(err error) bool { return errors.Is(err, errLost) }
