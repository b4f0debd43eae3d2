package upstream

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/name"
)

// Register makes a plain hub that of a namespace until its lifetime is over; who goes
// on registers again. What it lists is believed, so it has to be on this machine or on
// a host that the operator has allowed. Errors are *openapi.Error.
func (s *Source) Register(namespace string, u openapi.Upstream) error {
	if _, err := name.ParseRepo(namespace + "/model"); err != nil {
		return openapi.Errorf(openapi.CodeBadName, "namespace %.80q: %v", namespace, err)
	}
	if len(u.URL) > openapi.MaxUpstreamURL {
		return openapi.Errorf(openapi.CodeBadRequest, "url of %d bytes, want at most %d", len(u.URL), openapi.MaxUpstreamURL)
	}
	if u.TTL < 1 || u.TTL > openapi.MaxUpstreamTTL {
		return openapi.Errorf(openapi.CodeBadRequest, "ttl %d: want 1 to %d seconds", u.TTL, openapi.MaxUpstreamTTL)
	}
	address, err := hubclient.ParseURL(u.URL)
	if err != nil {
		return openapi.Errorf(openapi.CodeBadRequest, "%v", err)
	}
	if !isLocal(address) && !hubclient.Allowed(s.Hosts, address) {
		return openapi.Errorf(openapi.CodeForbidden, "upstream %s is on another machine: who runs the registry allows its host by --upstream-host", address)
	}
	h, err := s.dial(Hub{URL: u.URL})
	if err != nil {
		return openapi.Errorf(openapi.CodeBadRequest, "%v", err)
	}
	h.plain, h.until = true, s.Now().Add(time.Duration(u.TTL)*time.Second)
	s.mu.Lock()
	err = s.register(namespace, h)
	known := s.hubs[namespace]
	s.mu.Unlock()
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeConflict}) || known.until.IsZero() || s.answers(known, namespace) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hubs[namespace] == known { // who registered it was killed
		delete(s.hubs, namespace)
	}
	return s.register(namespace, h)
}

// answers tells whether a hub is still there.
func (s *Source) answers(h *hub, namespace string) bool {
	ctx, cancel := context.WithTimeout(s.ctx, probeTime)
	defer cancel()
	_, err := h.client.Models(ctx, catalog.Query{Namespace: namespace, Limit: 1})
	return !errors.Is(err, hubclient.ErrAway)
}

// probeTime is how long a hub may take to show that it is there.
const probeTime = 3 * time.Second

// register puts a hub in the place of the one that the namespace has, if that is the
// same, or over. The caller holds mu.
func (s *Source) register(namespace string, h *hub) error {
	known := s.hubs[namespace]
	switch {
	case s.closed:
		return openapi.Errorf(openapi.CodeUnavailable, "the registry stops: try again later")
	case known == nil:
		if len(s.hubs) >= openapi.MaxUpstreams {
			s.sweep()
		}
		if len(s.hubs) >= openapi.MaxUpstreams {
			return openapi.Errorf(openapi.CodeBusy, "the registry has %d upstreams, and no more fit", len(s.hubs))
		}
	case known.until.IsZero() || !known.over(s.Now()) && known.client.String() != h.client.String():
		return openapi.Errorf(openapi.CodeConflict, "namespace %s has the upstream %s: stop that one, or choose another namespace", namespace, known.client)
	case known.client.String() == h.client.String():
		known.until = h.until
		return nil
	}
	s.hubs[namespace] = h
	return nil
}

// sweep forgets registrations that are over. The caller holds mu.
func (s *Source) sweep() {
	for namespace, h := range s.hubs {
		if h.over(s.Now()) {
			delete(s.hubs, namespace)
		}
	}
}

// Forget ends a registration.
func (s *Source) Forget(namespace string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.hubs[namespace]
	if known == nil || namespace == "" || known.over(s.Now()) {
		return openapi.Errorf(openapi.CodeNotFound, "namespace %.80q has no upstream", namespace)
	}
	if known.until.IsZero() {
		return openapi.Errorf(openapi.CodeConflict, "the upstream of namespace %s is set by whoever runs the registry", namespace)
	}
	delete(s.hubs, namespace)
	return nil
}

// Upstreams lists the hubs by their namespaces. It does not fail.
func (s *Source) Upstreams() (openapi.UpstreamList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := openapi.UpstreamList{Upstreams: []openapi.UpstreamInfo{}}
	for namespace, h := range s.hubs {
		if h.over(s.Now()) {
			continue
		}
		info := openapi.UpstreamInfo{Namespace: namespace, URL: h.client.String(), Plain: h.plain}
		if !h.until.IsZero() {
			until := h.until.UTC()
			info.Expires = &until
		}
		list.Upstreams = append(list.Upstreams, info)
	}
	slices.SortFunc(list.Upstreams, func(a, b openapi.UpstreamInfo) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return list, nil
}

// isLocal tells an address that only this machine can reach.
func isLocal(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback() || strings.EqualFold(u.Hostname(), "localhost")
}
