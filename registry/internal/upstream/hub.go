package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/name"
)

// hub is another hub that is asked.
type hub struct {
	client *hubclient.Client
	plain  bool      // its files have no hashes
	until  time.Time // it is registered for; zero for ever

	mu   sync.Mutex // protects away
	away time.Time  // it is left alone until then
}

func (s *Source) dial(h Hub) (*hub, error) {
	c := s.Config.Client
	c.URL, c.Token, c.Hosts, c.Name = h.URL, h.Token, s.Hosts, s.Name
	c.Agent = strings.TrimSpace("ingot " + s.Program)
	client, err := hubclient.New(c)
	if err != nil {
		return nil, err
	}
	return &hub{client: client}, nil
}

// hubOf returns the hub that may be asked about a repository, or nil.
func (s *Source) hubOf(ctx context.Context, repo name.Repo) *hub {
	if s.Offline || askedIn(ctx).stay || repo.Reserved() {
		return nil
	}
	if s.Policy != nil && s.Policy.Allow(access.FromContext(ctx), repo, access.Read) != nil {
		return nil
	}
	return s.hubFor(repo.Namespace)
}

func (s *Source) hubFor(namespace string) *hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hubs[namespace]
	if h == nil || h.over(s.Now()) {
		h = s.hubs[""]
	}
	return h
}

func (h *hub) over(now time.Time) bool { return !h.until.IsZero() && !now.Before(h.until) }

// ask asks a hub something once, whoever wants to know it at this moment, but
// not one that did not answer a moment ago.
func ask[T any](ctx context.Context, s *Source, h *hub, key string, question func(context.Context) (T, error)) (T, error) {
	var none T
	if err := h.resting(s.Now()); err != nil {
		return none, err
	}
	// Questions that came here by different ways are not one: two registries that are
	// each other's upstream would wait for each other.
	passed := hubclient.Passed(ctx)
	key = h.client.String() + " " + strings.Join(passed, ",") + " " + key
	answer := s.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // one caller's going away is not the others' fault
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		v, err := question(ctx)
		h.note(s, err)
		return v, err
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return none, a.Err
		}
		return a.Val.(T), nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// resting tells why a hub is not asked now.
func (h *hub) resting(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.away) {
		return fmt.Errorf("%s: %w: it did not a moment ago", h.client, hubclient.ErrAway)
	}
	return nil
}

// note remembers how a hub has answered, and tells the operator what is amiss.
func (h *hub) note(s *Source, err error) {
	if err == nil || hubclient.Absent(err) || errors.Is(err, context.Canceled) {
		return
	}
	s.Logger.Warn("an upstream hub was asked in vain", "upstream", h.client.String(), "error", err)
	if errors.Is(err, hubclient.ErrAway) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.away = s.Now().Add(s.Rest)
	}
}

// told is an error of a hub as it is told to who asks here.
func told(err error) error {
	switch {
	case errors.Is(err, hubclient.ErrAway), errors.Is(err, hubclient.ErrRefused), errors.Is(err, errUnhashed):
		return openapi.Errorf(openapi.CodeUnavailable, "%v: what is here already can be had, all else later", err)
	case errors.Is(err, hubclient.ErrWrong):
		return fmt.Errorf("%w: %w: nothing of it was kept", catalog.ErrUpstream, err)
	}
	return err
}
