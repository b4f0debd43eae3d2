package main

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/client/remote"
	"github.com/ingot-ml/ingot/nodecache/hfcache"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// materializeFlags are what materialize is told beside its REFs.
type materializeFlags struct {
	dir   string
	agent string
}

func (p *program) materializeCommand() *cobra.Command {
	var f materializeFlags
	cmd := &cobra.Command{
		Use:        "materialize REF...",
		SuggestFor: []string{"snapshot", "hf-cache"},
		Short:      "Make the files of versions where clients of Hugging Face look for them",
		Long: `Materialize makes the files of versions in a folder of the form that clients of the
Hugging Face Hub keep: with HF_HUB_CACHE set to it, and HF_HUB_OFFLINE=1, they and
llama.cpp read models from it with no server at all. A tag becomes a ref of its name.

Where an agent runs on this machine it makes the files in its own folder, and counts
them in its disk. With --hf-cache they are made in that folder instead, from what
the agent has; without an agent, or with --registry, straight from the registry.

Files that are there are compared with their sha256 and not written again. What was
interrupted goes on when it is run again. A ref moves when all files are there.

With --json it prints:
  hf_cache                      the folder, for HF_HUB_CACHE
  models                        for each REF:
    ref, version, commit        what it is, and its name for such clients
    path                        the folder of its files
    files, bytes                how many, and their bytes
    bytes_written, bytes_reused what was written, and what was there
    seconds                     how long it took`,
		Example: `  ingot materialize acme/llama:prod
  ingot materialize acme/llama acme/tokenizer --hf-cache ~/.cache/huggingface/hub
  HF_HUB_OFFLINE=1 HF_HUB_CACHE=/var/lib/ingot/files vllm serve acme/llama`,
		ValidArgsFunction: p.aRef,
		Args:              want(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			refs := make([]name.Ref, len(args))
			for i, arg := range args {
				ref, err := parseRef(arg)
				if err != nil {
					return err
				}
				refs[i] = ref
			}
			return p.materialize(cmd.Context(), refs, f)
		},
	}
	agentFlag(cmd, &f.agent)
	cmd.Flags().StringVar(&f.dir, "hf-cache", "", "`DIR` to make the files in (default the agent's; without one, $HF_HUB_CACHE, else $HF_HOME/hub, else huggingface/hub in the user's cache folder)")
	return cmd
}

// materialized is the JSON document of materialize.
type materialized struct {
	HFCache string                       `json:"hf_cache"`
	Models  []openapi.MaterializeReceipt `json:"models"`
}

func (p *program) materialize(ctx context.Context, refs []name.Ref, f materializeFlags) error {
	m, err := p.materializer(ctx, f)
	if err != nil {
		return err
	}
	defer m.close()
	done := materialized{Models: []openapi.MaterializeReceipt{}}
	for _, ref := range refs {
		var got openapi.MaterializeReceipt
		err := p.watch("making the files of "+ref.String(), func(progress client.Progress) (err error) {
			got, err = m.make(ctx, ref, progress)
			return err
		})
		if err != nil {
			return resumable(ctx, err)
		}
		done.HFCache, done.Models = got.HFCache, append(done.Models, got)
	}
	return p.printMaterialized(done)
}

func (p *program) printMaterialized(done materialized) error {
	if p.json {
		return p.printJSON(done)
	}
	for _, got := range done.Models {
		p.printf("%s  %s  is in %s\n", got.Ref, got.Version.Short(), shown(got.Path))
		p.printf("%s in %s: wrote %s, found %s here, %s\n", size(got.Bytes), count(got.Files, "file"),
			size(got.BytesWritten), size(got.BytesReused), seconds(got.Seconds))
	}
	p.printf("clients read it with HF_HUB_CACHE=%s\n", shown(done.HFCache))
	return nil
}

// materializer is who makes files: the agent, or this process in a folder.
type materializer struct {
	agent    *agent.Agent  // that makes them, or has the bytes; nil for none
	tree     *hfcache.Tree // nil when the agent makes them
	source   fileSource
	registry *client.Registry
}

// fileSource is where versions and their bytes come from.
type fileSource interface {
	hfcache.Source
	Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error)
}

func (m *materializer) close() {
	if m.agent != nil {
		m.agent.Close()
	}
	if m.registry != nil {
		m.registry.Close()
	}
	if m.tree != nil {
		_ = m.tree.Close() // everything in it is written
	}
}

// materializer finds out who makes the files.
func (p *program) materializer(ctx context.Context, f materializeFlags) (*materializer, error) {
	m := &materializer{}
	a, status, err := p.findAgent(ctx, f.agent)
	if err != nil {
		return nil, err
	}
	if a != nil {
		m.agent, m.source = a, a.Files()
		if f.dir == "" || sameFolder(f.dir, status.HFCache) {
			return m, nil
		}
	} else if m.registry, err = p.connectLong(ctx); err == nil {
		m.source = remote.New(remote.Config{Registry: m.registry, Ahead: stream.NewAhead(materializeMemory, 0), HashWait: materializeHash})
	}
	dir := f.dir
	if err == nil && dir == "" {
		dir, err = p.hubCache()
	}
	if err == nil {
		m.tree, err = hfcache.Open(dir)
	}
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

const (
	// materializeMemory is for the chunks of the files that are written at a time.
	materializeMemory = 64 << 20
	// materializeHash is how long the registry may take to say the sha256 of files.
	materializeHash = 30 * time.Second
)

// findAgent returns the agent that was asked for, or that runs on this machine unless
// a registry was asked for; nil if none.
func (p *program) findAgent(ctx context.Context, address string) (*agent.Agent, openapi.NodeStatus, error) {
	asked := address != "" || p.env(agent.EnvAddress) != "" && p.registry == ""
	if !asked && p.registry != "" {
		return nil, openapi.NodeStatus{}, nil
	}
	a, err := p.dialAgent(address)
	if err != nil {
		return nil, openapi.NodeStatus{}, err
	}
	status, err := p.askStatus(ctx, a)
	if err == nil {
		return a, status, nil
	}
	a.Close()
	if !asked && errors.Is(err, agent.ErrNoAgent) {
		err = nil
	}
	return nil, openapi.NodeStatus{}, err
}

// sameFolder reports whether two paths are one folder.
func sameFolder(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	two, err := os.Stat(b)
	return err == nil && os.SameFile(one, two)
}

// hubCache is where clients of the Hugging Face Hub of this user look.
func (p *program) hubCache() (string, error) {
	if dir := p.env("HF_HUB_CACHE"); dir != "" {
		return dir, nil
	}
	if home := p.env("HF_HOME"); home != "" {
		return filepath.Join(home, "hub"), nil
	}
	own, err := p.cacheFolder()
	if err != nil {
		return "", usagef("materialize: no folder for the files: %v; name one with --hf-cache", err)
	}
	return filepath.Join(filepath.Dir(own), "huggingface", "hub"), nil
}

// make makes the files of one version.
func (m *materializer) make(ctx context.Context, ref name.Ref, progress client.Progress) (openapi.MaterializeReceipt, error) {
	if m.tree == nil {
		got, err := m.agent.Materialize(ctx, openapi.MaterializeRequest{Ref: ref.String()})
		return got, fromAgent(err)
	}
	began := time.Now()
	d, err := m.find(ctx, ref)
	if err != nil {
		return openapi.MaterializeReceipt{}, err
	}
	rev, err := m.source.Revision(ctx, ref.Repo, d.String())
	if err != nil {
		return openapi.MaterializeReceipt{}, err
	}
	o := hfcache.Options{Progress: progress}
	if ref.Tag != "" {
		o.Refs = []string{ref.Tag}
	}
	got, err := m.tree.Materialize(ctx, m.source, rev, o)
	if err != nil {
		return openapi.MaterializeReceipt{}, err
	}
	return openapi.MaterializeReceipt{
		Ref: ref.String(), Version: d, Commit: got.Commit, HFCache: m.tree.Dir(), Path: got.Path, Files: got.Files,
		Bytes: got.Bytes, BytesWritten: got.BytesWritten, BytesReused: got.BytesReused, Seconds: time.Since(began).Seconds(),
	}, nil
}

// find returns the version that ref names now.
func (m *materializer) find(ctx context.Context, ref name.Ref) (chunker.Digest, error) {
	if m.agent == nil {
		return m.registry.Resolve(ctx, ref)
	}
	plan, err := m.agent.Load(ctx, openapi.LoadRequest{Ref: ref.String(), Tier: openapi.TierDisk, DryRun: true})
	return plan.Version, fromAgent(err)
}
