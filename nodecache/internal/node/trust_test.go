package node_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// sign signs a version of acme/llama.
func (w *world) sign(key *signature.PrivateKey, d chunker.Digest) {
	w.t.Helper()
	at := name.Ref{Repo: ref("acme/llama").Repo, Digest: d}
	doc, _, err := w.client.Document(w.t.Context(), at)
	if err != nil {
		w.t.Fatal(err)
	}
	bundle, err := signature.Sign(key, doc, signature.Claim{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.client.PutSignature(w.t.Context(), at.Repo, d, bundle); err != nil {
		w.t.Fatal(err)
	}
}

func newKey(t *testing.T) *signature.PrivateKey {
	t.Helper()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// refuses wants no way to a version that is not signed, and the reason.
func (h *house) refuses(r name.Ref, d chunker.Digest, code openapi.Code) {
	h.w.t.Helper()
	ctx := h.w.t.Context()
	_, load := h.Load(ctx, node.LoadOrder{Ref: r, Tier: openapi.TierRAM})
	_, pinned := h.Load(ctx, node.LoadOrder{Ref: name.Ref{Repo: r.Repo, Digest: d}, Tier: openapi.TierDisk})
	_, plan := h.Plan(ctx, node.LoadOrder{Ref: r, Tier: openapi.TierRAM})
	_, lease := h.Lease(ctx, node.LeaseOrder{Ref: r}, nil)
	for what, err := range map[string]error{"load": load, "load by digest": pinned, "plan": plan, "lease": lease} {
		if !errors.Is(err, &openapi.Error{Code: code}) {
			h.w.t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	if _, err := h.Manifest(ctx, r.Repo, d); err == nil || code == openapi.CodeForbidden && !errors.Is(err, &openapi.Error{Code: code}) {
		h.w.t.Errorf("the manifest, for who reads its files: %v, want %s", err, code)
	}
	if s := h.Status(); code == openapi.CodeForbidden && s.Tiers.RAM.Models > 0 {
		h.w.t.Errorf("%d versions are in RAM", s.Tiers.RAM.Models)
	}
}

// TestSignedBy follows a tag on a node that trusts one key.
func TestSignedBy(t *testing.T) {
	w := newWorld(t)
	key, stranger := newKey(t), newKey(t)
	w.keys = []*signature.PublicKey{key.Public()}
	prod := ref("acme/llama:prod")
	base := w.push("prod")
	baseDir := w.models["prod"]
	keep := node.Model{Tier: openapi.TierRAM, Watch: true}
	h := w.node(nil)

	// Not signed, or by a stranger, it does not come, and the status says why.
	h.refuses(prod, base, openapi.CodeForbidden)
	w.sign(stranger, base)
	h.Changed(prod, base, keep)
	until(t, "that it is not signed", func() bool { return strings.Contains(h.model("prod").Error, "not signed by a trusted key") })
	h.refuses(prod, base, openapi.CodeForbidden)
	if got := w.chunks.Load(); got != 0 {
		t.Errorf("%d requests for chunks of what may not be loaded", got)
	}

	// Signed it comes.
	w.sign(key, base)
	h.Changed(prod, base, keep) // or a minute later by itself
	until(t, "the signed version", func() bool { return h.model("prod").Tier == openapi.TierRAM })

	// The next one does not take its place before it is signed.
	next := w.push("prod", synth.ChangeLayers(2, 1))
	nextDir := w.models["prod"]
	h.Changed(prod, next, keep)
	until(t, "that the next is not signed", func() bool { return strings.Contains(h.model("prod").Error, "not signed by a trusted key") })
	if m := h.model("prod"); m.Version != base.String() || m.Tier != openapi.TierRAM {
		t.Errorf("while the next is not signed: %+v", m)
	}
	w.sign(key, next)
	h.Changed(prod, next, keep)
	until(t, "the next version", func() bool { m := h.model("prod"); return m.Version == next.String() && m.Error == "" })
	w.models["prod"] = nextDir
	l := h.lease("prod")
	h.check(l, "prod")
	l.Release()
	if _, err := h.Load(t.Context(), node.LoadOrder{Ref: name.Ref{Repo: prod.Repo, Digest: base}, Tier: openapi.TierRAM}); err != nil {
		t.Errorf("the signed one before it: %v", err)
	}
	w.models["base"] = baseDir
	h.close()

	// After a restart without a registry the signature is on the disk.
	w.gone.Store(true)
	h = w.node(nil)
	if got := h.load("prod", openapi.TierRAM); got.Version != next || got.BytesReceived != 0 {
		t.Errorf("without a registry: %+v", got)
	}
	h.close()

	// What another key has signed is not taken up from the disk.
	w.keys = []*signature.PublicKey{newKey(t).Public()}
	h = w.node(nil)
	h.refuses(prod, next, openapi.CodeUnavailable)
	w.gone.Store(false)
	h.refuses(prod, next, openapi.CodeForbidden)
	h.close()
}
