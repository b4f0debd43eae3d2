package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// verifyAll has the registry compare everything that it keeps.
func (p *program) verifyAll(ctx context.Context, r *client.Registry, deep bool) error {
	line := p.line("verifying")
	got, err := r.VerifyStore(ctx, deep, func(at openapi.VerifyProgress) { line.show(at.Phase, at.Done, at.Total) })
	line.clear()
	if err != nil {
		return err
	}
	if p.json {
		err = p.printJSON(got)
	} else {
		p.printVerified(got, deep)
	}
	if n := needed(got.Bad) + needed(got.Missing); err == nil && n > 0 {
		err = advised{fmt.Errorf("%s bad or missing that versions need, %d healed: %w", things(n, "object"), got.Healed, client.ErrCorrupt)}
	}
	return err
}

// needed counts the objects that some version needs.
func needed(objects []openapi.BadObject) (n int64) {
	for _, o := range objects {
		if len(o.Versions) > 0 {
			n++
		}
	}
	return n
}

func (p *program) printVerified(got openapi.VerifyReport, deep bool) {
	for _, list := range []struct {
		what    string
		objects []openapi.BadObject
	}{{"bad", got.Bad}, {"missing", got.Missing}} {
		for _, o := range list.objects {
			p.printf("%-8s %s: %s; %s\n", list.what, shown(o.Object), oneLine(o.Reason), repair(o))
		}
	}
	for i, what := range got.Foreign {
		if i == longList && len(got.Foreign) > longList+1 {
			p.printf("... and %d more (--json)\n", len(got.Foreign)-i)
			break
		}
		p.printf("%-8s %s\n", "foreign", oneLine(what))
	}
	compared := "looked for, none read"
	if deep {
		compared = things(got.Chunks, "chunk") + " compared with their names"
	}
	p.printf("%s of %s, %s, %s, %s\n", things(got.Objects, "object"), things(got.Versions, "version"), size(got.Bytes), compared, seconds(got.Seconds))
}

// mostNamed is how many versions of a damaged object are named.
const mostNamed = 4

// repair says which versions need a damaged object, and what to do about it.
func repair(o openapi.BadObject) string {
	var named, refs []string
	for _, v := range o.Versions[:min(len(o.Versions), mostNamed)] {
		ref, err := name.ParseRef(v)
		if err != nil || ref.Digest.IsZero() {
			named, refs = append(named, shown(v)), append(refs, shown(v))
			continue
		}
		named, refs = append(named, ref.Repo.String()+"@"+ref.Digest.Short()), append(refs, ref.Repo.String())
	}
	if len(named) == 0 {
		return "no version needs it: a collection frees it"
	}
	more := ""
	if n := len(o.Versions) - len(named); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("in %s%s: push the same files to %s again, or remove the version", strings.Join(named, ", "), more, refs[0])
}
