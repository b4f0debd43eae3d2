package main

import (
	"context"
	"errors"
	"strings"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// encodingsOf asks how the chunks of a version are stored; nil where the registry is
// too old to say.
func encodingsOf(ctx context.Context, r *client.Registry, ref name.Ref) (*openapi.Encodings, error) {
	e, err := r.Encodings(ctx, ref)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		return nil, nil
	}
	return &e, err
}

// printEncodings says how much of a version is stored whole and how much as deltas.
func (p *program) printEncodings(e *openapi.Encodings) {
	if e == nil {
		return
	}
	kinds := []struct {
		what string
		openapi.EncodedTotal
	}{
		{"whole", e.Whole}, {"as deltas of anchors", e.Middle}, {"as deltas of middles", e.Step},
	}
	var parts []string
	own := int64(0)
	for _, k := range kinds {
		own += k.Bytes
		if k.Chunks > 0 {
			parts = append(parts, spellEncoded(k.EncodedTotal)+" "+k.what)
		}
	}
	p.printf("stored   %s: %s\n", size(own), strings.Join(parts, ", "))
	if e.Anchors.Chunks == 0 {
		return
	}
	needs := "which need " + spellEncoded(e.Anchors) + " as anchors"
	if e.Middles.Chunks > 0 {
		needs += ", " + spellEncoded(e.Middles) + " as middles"
	}
	p.printf("         %s\n", needs)
	if e.Shared.Chunks > 0 {
		p.printf("added    %s; the parent needs the other %s too\n", spellEncoded(e.Added), spellEncoded(e.Shared))
	}
}

func spellEncoded(t openapi.EncodedTotal) string {
	return count(t.Chunks, "chunk") + " (" + size(t.Bytes) + ")"
}
