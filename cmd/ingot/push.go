package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// receiptHelp describes the JSON document of push and pull.
const receiptHelp = `With --json it prints:
  ref, digest     what was moved; the digest is the version's name
  files           how many
  bytes_total     plain bytes of all files
  bytes_sent      encoded chunk bytes put on the wire
  bytes_sent_delta      part of those: chunks sent as differences
  bytes_received  encoded chunk bytes that came over the wire
  bytes_received_delta  part of those: chunks that came as differences
  bytes_received_base   part of those: what differences were applied to
  bytes_reused    plain bytes that a pull found here and did not ask for
  bytes_stored    encoded bytes that a push added to the registry
  chunks_total    distinct chunks of the version
  chunks_new      chunks that were sent, or received
  chunks_delta    part of those: as differences
  bases_wrong     differences that came again, whole, since a file here had changed
  seconds         how long it took`

// pushFlags are what push is told beside PATH and REF.
type pushFlags struct {
	annotations []string
	base        string
	expect      string
	followLinks bool
	malformed   bool
	noResume    bool
	noDelta     bool
	partFlags
	followFlags
}

func (p *program) pushCommand() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:        "push PATH REF",
		SuggestFor: []string{"upload", "add", "save"},
		Short:      "Store a folder or file as a version, sending only what is new",
		Long: `Push stores the folder or file at PATH as a version and points the tag of REF at
it. Only chunks that the registry lacks are sent. A push that was interrupted
goes on where it stopped when it is run again.

A chunk that is nearly the same in a version that was pushed or pulled here is
sent as the difference from that: the one given by --base, else the one that the
tag is at, the last of the repository, or one of the namespace that is like it.
Its files must still be where they were, or its chunks in the cache of pull.

` + partsHelp + `

` + followHelp + `

` + receiptHelp,
		Example: `  ingot push ./llama acme/llama
  ingot push ./llama-tuned acme/llama:tuned --base acme/llama --annotation step=1200
  ingot push --watch ./output acme/run --annotation ingot.run=first`,
		ValidArgsFunction: arguments(aFile, p.aRef),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(len(args), cmd.UseLine()); err != nil {
				return err
			}
			path, word := "", args[0]
			if len(args) == 2 {
				path, word = args[0], args[1]
			}
			ref, err := parseRef(word)
			if err != nil {
				return swapped(cmd, word, path, err)
			}
			if f.follow {
				return p.pushAll(cmd.Context(), path, ref, f)
			}
			if f.begin {
				return p.beginParts(cmd.Context(), ref)
			}
			return p.push(cmd.Context(), path, ref, f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.annotations, "annotation", nil, "a fact about the version, as `KEY=VALUE`; may be repeated")
	flags.StringVar(&f.base, "base", "", "`REF` of the version that this one was made from")
	flags.StringVar(&f.expect, "expect", "", "fail unless the tag is at this `DIGEST` now, or \"none\" for a tag that must not exist")
	flags.BoolVar(&f.followLinks, "follow-links", false, "store what symbolic links to outside of PATH point at")
	flags.BoolVar(&f.malformed, "allow-malformed", false, "store a file that is not what its name says as plain bytes")
	flags.BoolVar(&f.noDelta, "no-delta", false, "send whole chunks, and do not remember where the files are")
	flags.BoolVar(&f.begin, "begin", false, "start a push of parts, and print its ID")
	flags.StringVar(&f.partOf, "part-of", "", "store PATH as a part of the push with this `ID`")
	flags.StringVar(&f.commit, "commit", "", "make a version of the parts of the push with this `ID`")
	flags.StringArrayVar(&f.fragments, "fragment", nil, "`FILE` that describes a part; may be repeated with --commit")
	flags.BoolVar(&f.noResume, "no-resume", false, "start anew, and do not remember an interrupted push")
	f.followFlags.bind(flags)
	return cmd
}

// swapped returns err, of a word that should be a REF, unless that is a path and
// the other word could be the REF.
func swapped(cmd *cobra.Command, word, other string, err error) error {
	if _, rerr := name.ParseRef(other); rerr != nil || isPath(other) || !isPath(word) {
		return err
	}
	return usagef("%s: %.80q is a path and %.120q a REF: swap them; usage: %s", cmd.Name(), word, other, cmd.UseLine())
}

// isPath reports whether a word is meant as a path: it looks like one, or leads
// somewhere.
func isPath(word string) bool {
	_, err := os.Stat(word)
	return err == nil || strings.HasPrefix(word, ".") || filepath.IsAbs(word)
}

func (p *program) push(ctx context.Context, path string, ref name.Ref, f pushFlags) error {
	o, err := p.pushOptions(ref, f)
	if err != nil {
		return err
	}
	// A wrong flag is told first, then a misspelt path, then a registry that is
	// not running.
	if _, err := p.connect(); err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil && f.commit == "" {
		return fmt.Errorf("push: %w: %w", err, client.ErrInput)
	}
	r, err := p.connectLong(ctx)
	if err != nil {
		return err
	}
	if o.Base, err = resolveBase(ctx, r, f.base); err != nil {
		return err
	}
	o.Parent = o.Base.Digest
	switch {
	case f.commit != "":
		return p.commitParts(ctx, r, ref, f.partFlags, o)
	case f.partOf != "":
		return p.pushPart(ctx, r, path, ref, f.partFlags, o)
	}
	var got client.Receipt
	err = p.watch("pushing "+ref.String(), func(progress client.Progress) error {
		o.Progress = progress
		got, err = r.Push(ctx, path, ref, o)
		return err
	})
	if err != nil && o.Journal == "" {
		return err // there is nothing to go on with
	}
	if err != nil {
		return resumable(ctx, err)
	}
	return p.printPush(got)
}

// pushOptions returns what the flags say of a push to ref, but for the base.
func (p *program) pushOptions(ref name.Ref, f pushFlags) (o client.PushOptions, err error) {
	if ref.Tag == "" {
		return o, usagef("push: %s names a version by its digest, which follows from the files: give a tag, as in %s:%s", ref, ref.Repo, name.DefaultTag)
	}
	annotations, err := parseAnnotations(f.annotations)
	if err != nil {
		return o, err
	}
	if err := checkExpect(f.expect); err != nil {
		return o, err
	}
	o = client.PushOptions{
		Annotations: annotations, FollowLinks: f.followLinks, AllowMalformed: f.malformed,
		Expect: f.expect, Journal: p.journal(f.noResume),
	}
	if !f.noDelta {
		o.Places, o.Cache = p.places(), p.chunksHere()
	}
	return o, nil
}

// parseAnnotations reads KEY=VALUE words.
func parseAnnotations(words []string) (map[string]string, error) {
	annotations := map[string]string{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, usagef("--annotation %.80q: want KEY=VALUE", word)
		}
		if _, twice := annotations[key]; twice {
			return nil, usagef("--annotation %.80q: the key is given twice", key)
		}
		annotations[key] = value
	}
	return annotations, nil
}

// checkExpect judges the value of --expect, before anything is sent.
func checkExpect(expect string) error {
	if expect == "" || expect == openapi.ExpectNone {
		return nil
	}
	if _, err := chunker.ParseDigest(expect); err != nil {
		return usagef("--expect %.80q: want a whole digest of 64 hex digits, or %q", expect, openapi.ExpectNone)
	}
	return nil
}

// journal returns the folder that remembers interrupted pushes. Without one a
// push still works, it only cannot go on.
func (p *program) journal(none bool) string {
	dir, err := p.cacheFolder()
	if none || err != nil {
		return ""
	}
	return filepath.Join(dir, "pushes")
}

// places returns the folder that remembers which local files hold which version.
// Without one chunks are sent whole.
func (p *program) places() string {
	dir, err := p.cacheFolder()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "places")
}

// chunksHere returns the chunks that pulls have kept, nil for none. It is only read, so
// there is nothing to trim and to close.
func (p *program) chunksHere() *client.Cache {
	dir, err := p.cacheFolder()
	if err != nil {
		return nil
	}
	dir = filepath.Join(dir, "chunks")
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	cache, err := client.OpenCache(dir, math.MaxInt64)
	if err != nil {
		return nil
	}
	return cache
}

// resolveBase returns the version that base names, by its digest; nothing for nothing.
func resolveBase(ctx context.Context, r *client.Registry, base string) (name.Ref, error) {
	if base == "" {
		return name.Ref{}, nil
	}
	ref, err := parseRef(base)
	if err != nil {
		return name.Ref{}, fmt.Errorf("--base: %w", err)
	}
	digest, err := r.Resolve(ctx, ref)
	if err != nil {
		return name.Ref{}, fmt.Errorf("--base %s: %w", ref, err)
	}
	return name.Ref{Repo: ref.Repo, Digest: digest}, nil
}

// resumable tells the user of a transfer that was cut off what to do next.
func resumable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return goesOn{errors.New("interrupted")}
	}
	if _, exit := judge(err); exit == exitUnreachable || exit == exitNoSpace {
		return goesOn{err}
	}
	return err
}

func (p *program) printPush(got client.Receipt) error {
	if p.json {
		return p.printJSON(got)
	}
	if got.Digest == "" {
		p.printf("pushed a part of %s\n", got.Ref)
	} else {
		p.printf("pushed %s  %s\n", got.Ref, short(got.Digest))
	}
	p.printf("%s in %s, %s of which %d new: sent %s%s, stored %s, %s\n", size(got.BytesTotal), count(got.Files, "file"),
		count(got.ChunksTotal, "chunk"), got.ChunksNew, size(got.BytesSent), asDeltas(got.BytesSentDelta), size(got.BytesStored), seconds(got.Seconds))
	return nil
}

// asDeltas says how many of some bytes were differences, if any were.
func asDeltas(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s as differences)", size(n))
}
