package main

import (
	"context"
	"errors"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// origin says where a version comes from.
type origin struct {
	PushedBy   string           `json:"pushed_by"`
	PushedAt   time.Time        `json:"pushed_at"`
	Signatures []shownSignature `json:"signatures"`
}

// shownSignature is a signature that nobody has verified.
type shownSignature struct {
	ID      string    `json:"id"`
	Key     string    `json:"key,omitempty"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
}

// originOf looks for the signatures of a version. A registry that knows of none has
// none.
func originOf(ctx context.Context, r *client.Registry, repo name.Repo, v openapi.VersionInfo) (origin, error) {
	o := origin{PushedBy: v.By, PushedAt: v.Created, Signatures: []shownSignature{}}
	if v.Digest.IsZero() {
		return o, nil // gone since it was looked at
	}
	kept, err := r.Signatures(ctx, repo, v.Digest)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		err = nil
	}
	for _, one := range kept {
		o.Signatures = append(o.Signatures, shownSignature{one.ID.String(), one.Key, one.Created, one.By})
	}
	return o, err
}

func (p *program) printOrigin(o origin) {
	if o.PushedBy != "" {
		p.printf("pushed   by %s, %s\n", shown(o.PushedBy), o.PushedAt.Local().Format(time.DateTime))
	}
	for _, one := range o.Signatures {
		key := one.Key
		if key == "" {
			key = "a key without a name"
		}
		p.printf("signed   with %s, by %s, %s: not verified\n", shown(key), shown(one.By), one.Created.Local().Format(time.DateTime))
	}
}
