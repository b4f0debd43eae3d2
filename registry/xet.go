package registry

import (
	"crypto/rand"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/cas"
)

// XetMode is what files go by Xet for.
type XetMode string

// The modes.
const (
	XetOn    XetMode = "on"    // both ways
	XetWrite XetMode = "write" // they are only sent
	XetOff   XetMode = "off"   // clients are told that there is none
)

// xorbsFolder is the folder for what clients of Xet have sent.
const xorbsFolder = "xorbs"

// xet returns what sends and takes large files by the protocol of that name, or nil
// where nothing does: it needs registers to sign with, which a registry that only
// reads may not have.
func (r *Registry) xet(policy access.Policy, source catalog.Source) (_ *cas.Service, err error) {
	if r.config.ReadOnly || r.config.Xet == XetOff {
		return nil, nil
	}
	r.xorbs, err = cas.New(cas.Config{
		Source: source, Versions: r.service, Files: r.ingest, Grants: r.grants, Valid: r.control.valid, Registers: r.place.registers, Policy: policy,
		Dir: filepath.Join(r.place.folder, xorbsFolder), Limit: r.config.Arrivals, Address: r.config.XetAddress,
		Replicas:  r.place.shared() && !r.config.Alone,
		WriteOnly: r.config.Xet == XetWrite, Now: time.Now, Rand: rand.Reader, Logger: r.config.Logger,
	})
	return r.xorbs, err
}
