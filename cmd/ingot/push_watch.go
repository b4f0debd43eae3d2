package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/checkpoints"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// followHelp explains how a folder is followed.
const followHelp = `With --watch it goes on until it is told to stop, and pushes every checkpoint that
appears below PATH: a folder with a number such as checkpoint-500, or PATH itself where
that is written over again and again. A checkpoint is pushed when it is complete: every
shard that an index names is there, no file is shorter than its header says or called
as one that is being written, and nothing has changed for as long as --settle says. The
lowest step comes first, each has the one before as its parent, and its step and loss,
where they are known, become the annotations ingot.step and ingot.loss. What was pushed
is remembered, and not pushed again unless it has changed. If others move the tag in
the meantime, it ends with exit code 6.`

// followFlags are what push --watch is told.
type followFlags struct {
	follow bool
	settle time.Duration
}

// defaultSettle is longer than a trainer pauses between two files of a checkpoint.
const defaultSettle = 5 * time.Second

func (f *followFlags) bind(flags *pflag.FlagSet) {
	flags.BoolVar(&f.follow, "watch", false, "push every checkpoint that appears below PATH, until told to stop")
	flags.DurationVar(&f.settle, "settle", defaultSettle, "with --watch, how long a checkpoint must not have changed")
}

// How often a folder is looked at, at least and at most, and how long the registry is
// left alone that cannot be reached.
const (
	seldomest  = time.Second
	oftenest   = 100 * time.Millisecond
	retryAfter = 5 * time.Second
)

// every is how often a folder is looked at.
func (f *followFlags) every() time.Duration {
	return min(seldomest, max(oftenest, f.settle/5))
}

// follower pushes the checkpoints of a folder.
type follower struct {
	*program
	registry *client.Registry
	folder   *checkpoints.Folder
	journal  *checkpoints.Journal
	ref      name.Ref
	options  client.PushOptions // of the next push
}

// pushAll pushes checkpoints below path as they appear, until ctx ends.
func (p *program) pushAll(ctx context.Context, path string, ref name.Ref, f pushFlags) error {
	if f.settle < 0 || f.settle > 24*time.Hour {
		return usagef("--settle %s: want 0s to 24h", f.settle)
	}
	if f.begin || f.partOf != "" || f.commit != "" {
		return usagef("push: --watch goes with none of --begin, --part-of and --commit")
	}
	o, err := p.pushOptions(ref, f)
	if err != nil {
		return err
	}
	folder, err := checkpoints.Open(path, f.settle)
	if err != nil {
		return fmt.Errorf("push --watch: %w: %w", err, client.ErrInput)
	}
	r, err := p.connectLong(ctx)
	if err != nil {
		return err
	}
	w := &follower{program: p, registry: r, folder: folder, ref: ref, options: o}
	if w.journal, err = checkpoints.OpenJournal(p.watches(f.noResume), folder, ref.String()); err != nil {
		return err
	}
	if err := w.begin(ctx, f.base); err != nil {
		return err
	}
	return w.run(ctx, f.every())
}

// watches returns the folder that remembers what was pushed of which folder.
func (p *program) watches(none bool) string {
	dir, err := p.cacheFolder()
	if none || err != nil {
		return ""
	}
	return filepath.Join(dir, "watches")
}

// begin finds where the tag is, and what the first checkpoint was made from.
func (w *follower) begin(ctx context.Context, base string) error {
	at, err := w.registry.Resolve(ctx, w.ref)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		at, err = chunker.Digest{}, nil
	}
	if err != nil {
		return err
	}
	expect := w.options.Expect
	w.after(at)
	if expect != "" {
		w.options.Expect = expect
	}
	if base != "" {
		if w.options.Base, err = resolveBase(ctx, w.registry, base); err != nil {
			return err
		}
		w.options.Parent = w.options.Base.Digest
	}
	return nil
}

// after has the next checkpoint made from the version where the tag is; zero for none.
func (w *follower) after(at chunker.Digest) {
	w.options.Parent, w.options.Base, w.options.Expect = at, name.Ref{}, openapi.ExpectNone
	if !at.IsZero() {
		w.options.Base, w.options.Expect = name.Ref{Repo: w.ref.Repo, Digest: at}, at.String()
	}
}

func (w *follower) run(ctx context.Context, every time.Duration) error {
	for {
		ready, _, err := w.folder.Look(time.Now())
		if err != nil {
			return fmt.Errorf("push --watch: %w: %w", err, client.ErrInput)
		}
		pause := every
		for _, c := range ready {
			if err = w.one(ctx, c); err != nil {
				break
			}
		}
		if ctx.Err() != nil {
			return nil // it was told to stop
		}
		if err != nil {
			if _, exit := judge(err); exit != exitUnreachable {
				return err
			}
			w.tell(err)
			pause = retryAfter
		}
		if !waited(ctx, pause) {
			return nil
		}
	}
}

// waited reports false when ctx ended first.
func waited(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// one pushes a checkpoint. One that cannot be pushed as it is, or is not what it was,
// is told of and left until it has changed.
func (w *follower) one(ctx context.Context, c checkpoints.Checkpoint) error {
	o := w.options
	o.Annotations = maps.Clone(o.Annotations)
	for key, value := range map[string]string{openapi.AnnotationStep: c.Step, openapi.AnnotationLoss: c.Loss} {
		if _, given := o.Annotations[key]; value != "" && !given {
			o.Annotations[key] = value
		}
	}
	var got client.Receipt
	err := w.watch("pushing "+c.Path, func(progress client.Progress) (err error) {
		o.Progress = progress
		got, err = w.registry.Push(ctx, c.Path, w.ref, o)
		return err
	})
	switch {
	case err == nil:
	case ctx.Err() == nil && (c.Changed() || errors.Is(err, client.ErrInput) || errors.Is(err, fs.ErrNotExist)):
		w.tell(fmt.Errorf("%s is not pushed as it is: %w", c.Path, err))
		w.folder.Done(c)
		return nil
	default:
		return err
	}
	at, err := chunker.ParseDigest(got.Digest)
	if err != nil {
		return fmt.Errorf("push %s: %w: %w", c.Path, err, client.ErrCorrupt)
	}
	w.after(at)
	if err := w.journal.Done(w.folder, c); err != nil {
		w.tell(err) // it is pushed again by who comes after
	}
	return w.printPush(got)
}

// tell says what went wrong and does not end it.
func (w *follower) tell(err error) {
	if w.json {
		f := failure{Message: oneLine(explain(err))}
		f.Code, f.Exit = judge(err)
		// A reader that has gone away misses it.
		_ = json.NewEncoder(w.stderr).Encode(map[string]failure{"error": f})
		return
	}
	fmt.Fprintf(w.stderr, "%s\n", oneLine(explain(err)))
}
