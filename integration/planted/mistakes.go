package main

import "slices"

// What the packages under test are called here.
const (
	versions  = "registry/internal/versions/"
	collect   = "registry/internal/collect/"
	placement = "registry/internal/placement/"
	registers = "registry/internal/registers/"
	chunkdir  = "chunker/chunkdir/"
	bolt      = "registry/internal/bolt/"
	simulated = "registry/internal/simtest"
)

// simulation is caught by the simulation within so many seeds.
func simulation(name string, edits ...edit) mistake {
	return mistake{name: name, edits: edits, pkg: simulated, test: "TestSimulation", env: []string{"INGOT_SIM_SEEDS=6000"}}
}

var mistakes = slices.Concat(storeMistakes, gpuMistakes)

// storeMistakes are ways for a registry to lose what it has acknowledged.
var storeMistakes = []mistake{
	simulation("reuse-a-name", edit{
		placement + "name.go", `hash[:3], hash, push, attempt)`, `hash[:3], hash, "00000000000000000000"[:len(push)], attempt)`,
	}),
	{
		name:  "same-name-after-conflict",
		edits: []edit{{versions + "epochs.go", `max(rec.E0, epoch), rec.Attempt+1`, `max(rec.E0, epoch), rec.Attempt`}},
		pkg:   "registry/internal/versions", test: "TestNameWrittenAgain",
	},
	simulation("check-before-publish",
		edit{versions + "commit.go", "	if v, err = c.book.Swap(ctx, key, v, h); err != nil { // P3\n		return err\n	}\n", ""},
		edit{versions + "commit.go", "	if err := c.checkEpochs(ctx, body, entries); err != nil { // P4\n		return err\n	}\n",
			"	if err := c.checkEpochs(ctx, body, entries); err != nil { // P4\n		return err\n	}\n	if v, err = c.book.Swap(ctx, key, v, h); err != nil { // P3\n		return err\n	}\n"},
	),
	simulation("no-check-at-commit", edit{
		versions + "epochs.go", `if gc.Epoch == c.rec.E0 {`, `if gc.Epoch >= c.rec.E0 {`,
	}),
	simulation("check-from-memory", edit{
		versions + "epochs.go", `if gc.Epoch == c.rec.E0 {`, `if gc.Epoch == c.rec.E0 || gc.Epoch <= c.upload.caughtUp() {`,
	}),
	simulation("epoch-after-answers", edit{
		versions + "commit.go", "	key := record.HeadKey(c.repo, c.digest)\n	if v, err = c.book.Swap(ctx, key, v, h); err != nil { // P3",
		"	key := record.HeadKey(c.repo, c.digest)\n	var late record.Collection\n	if _, err := c.book.Load(ctx, record.CollectionKey, &late); err != nil {\n		return err\n	}\n	c.rec.E0 = late.Epoch\n	if v, err = c.book.Swap(ctx, key, v, h); err != nil { // P3",
	}),
	simulation("active-list-ignored", edit{
		versions + "start.go", `List: gc.Active(), E0`, `List: "", E0`,
	}),
	simulation("hit-on-a-stale-body",
		edit{versions + "bodies.go", "	byKey map[string]*list.Element\n}", "	byKey map[string]*list.Element\n	first map[Source]string\n}\n\nfunc (c *bodyCache) firstOf(src Source, body string) string {\n	c.mu.Lock()\n	defer c.mu.Unlock()\n	if c.first == nil {\n		c.first = map[Source]string{}\n	}\n	if c.first[src] == \"\" {\n		c.first[src] = body\n	}\n	return c.first[src]\n}"},
		edit{versions + "find.go", `bodyName = h.Body`, `bodyName = q.bodies.firstOf(src, h.Body)`},
	),
	simulation("hit-on-a-condemned-version", edit{
		versions + "find.go", `if h.State == record.Committed {`, `if h.Body != "" {`,
	}),
	simulation("commit-is-no-cas", edit{
		versions + "commit.go", "	h.State = record.Committed\n	_, err = c.book.Swap(ctx, key, v, h) // P5",
		"	h.State = record.Committed\n	var now record.Head\n	if v, err = c.book.Load(ctx, key, &now); err != nil {\n		return err\n	}\n	_, err = c.book.Swap(ctx, key, v, h) // P5",
	}),
	simulation("first-list-of-an-epoch-only", edit{
		versions + "epochs.go", "		if err := s.condemn(ctx, u, info.Name); err != nil {\n			return err\n		}\n",
		"		if err := s.condemn(ctx, u, info.Name); err != nil {\n			return err\n		}\n		break\n",
	}),
	simulation("lists-by-epoch-from-cache",
		edit{versions + "condemned.go", `return l.blob == blob }); i >= 0`, `return l.blob[:19] == blob[:19] }); i >= 0`},
	),
	simulation("base-not-copied", edit{
		versions + "find.go", "	e := b.entries[i]\n", "	e := b.entries[i]\n	e.Closure = nil\n	_ = foreign\n",
	}),
	simulation("base-not-marked", edit{
		collect + "mark.go", `for object := range b.Entries[i].Names {`, `for _, object := range []string{b.Entries[i].Object} {`,
	}),
	simulation("base-not-checked", edit{
		versions + "uploads.go", `for name := range e.Names {`, `for _, name := range []string{e.Object} {`,
	}),
	simulation("no-second-mark", edit{
		collect + "sweep.go", `needed[i] = true`, `needed[i] = false`,
	}),
	simulation("pending-not-marked", edit{
		collect + "sweep.go", `if h.State != record.Pending && !h.Readable() {`, `if !h.Readable() {`,
	}),
	simulation("second-mark-by-key", edit{
		collect + "mark.go", `fmt.Appendf(nil, "%s\n%s", e.Key, e.Version)`, `fmt.Appendf(nil, "%s\n", e.Key)`,
	}),
	simulation("second-mark-too-early",
		edit{collect + "collect.go", "	if err := r.publish(ctx, s, found.names); err != nil { // G2\n		return false, err\n	}\n	if err := r.decide(ctx, s, found, m.seen); err != nil { // G3, G4",
			"	needed, err := r.markAgain(ctx, found.names, m.seen)\n	if err != nil {\n		return false, err\n	}\n	if err := r.publish(ctx, s, found.names); err != nil { // G2\n		return false, err\n	}\n	if err := r.decide(ctx, s, found, m.seen, needed); err != nil { // G3, G4"},
		edit{collect + "collect.go", `r.decide(ctx, s, found, nil); err`, `r.decide(ctx, s, found, nil, nil); err`},
		edit{collect + "sweep.go", `found *candidates, seen map[entryHash]bool) error {`, `found *candidates, seen map[entryHash]bool, needed []bool) (err error) {`},
		edit{collect + "sweep.go", "	needed, err := r.markAgain(ctx, found.names, seen)\n", "	if needed == nil {\n		needed, err = r.markAgain(ctx, found.names, seen)\n	}\n"},
	),
	simulation("take-over-with-own-list", edit{
		collect + "sweep.go", "	if err := r.write(ctx, s, record.Sweeping, list); err != nil {\n", "	if err := r.write(ctx, s, record.Sweeping, list); err != nil && !lost(err) {\n",
	}),
	simulation("take-over-decides-again", edit{
		collect + "collect.go", `if s.Phase != record.Sweeping {`, `if s.Phase != record.Idle {`,
	}),
	simulation("next-not-marked", edit{
		collect + "mark.go", `if h.Next == "" {`, `if h.Next != "" || h.Next == "" {`,
	}),
	simulation("next-not-checked", edit{
		versions + "repoint.go", `if err != nil || !u.knowsLists() {`, `if err != nil || u != nil {`,
	}),
	simulation("settle-takes-unknown-for-done", edit{
		registers + "settle.go", "		case now != want:\n", "		case now == want:\n			return version, nil\n		case now != want:\n",
	}),
	simulation("settle-takes-unknown-for-failed", edit{
		registers + "settle.go", "		case now != Absent && bytes.Equal(found, val):\n			return now, nil\n", "		case now != Absent && bytes.Equal(found, val):\n			return Absent, fmt.Errorf(\"settle register %q: %w\", key, ErrConflict)\n",
	}),
	simulation("tag-without-looking-again", edit{
		versions + "tags.go", "		kept, err := s.keep(ctx, repo, d)\n", "		kept, err := true, error(nil)\n",
	}),
	simulation("retire-without-tags", edit{
		versions + "tags.go", "	if len(tags) > 0 {\n		h.State = record.Committed\n	}\n", "	tags = nil\n",
	}),
	simulation("retire-reads-tags-first",
		edit{versions + "tags.go", "	if h.State == record.Committed {\n		h.State = record.Condemned\n", "	tags, err := s.tagsOf(ctx, repo, d)\n	if err != nil {\n		return err\n	}\n	if h.State == record.Committed {\n		h.State = record.Condemned\n"},
		edit{versions + "tags.go", "	tags, err := s.tagsOf(ctx, repo, d)\n	if err != nil {\n		return err\n	}\n	h.State, h.At", "	h.State, h.At"},
	),
	simulation("reaper-gives-up-what-is-read", edit{
		collect + "retire.go", `if h.State != record.Pending || m.DryRun {`, `if h.State == record.Dead || m.DryRun {`,
	}),
	simulation("next-unconditionally", edit{
		versions + "repoint.go", "	h.Drop()\n	_, err := s.book.Swap(ctx, key, v, h)\n	return err\n",
		"	h.Drop()\n	var now record.Head\n	v, err := s.book.Load(ctx, key, &now)\n	if err != nil {\n		return err\n	}\n	_, err = s.book.Swap(ctx, key, v, h)\n	return err\n",
	}),
	simulation("reader-does-not-look-again", edit{
		versions + "read.go", `		if h.Body == tried {`, `		if h.Body == tried || tried != "" {`,
	}),
	simulation("quarantine-ignored", edit{
		versions + "uploads.go", `return u.isCondemned(e) || u.bad.names(e) }`, `return u.isCondemned(e) }`,
	}),
	{
		name:  "read-again-left-out",
		edits: []edit{{versions + "read.go", "		if !errors.Is(err, blobs.ErrNotFound) {\n			return r, err\n		}\n", "		if r != nil || err != nil {\n			return r, err\n		}\n"}},
		pkg:   versions, test: "TestReaderFollows",
	},
	{
		name:  "cas-compares-nothing",
		edits: []edit{{registers + "memory.go", `if m.keys[key].version != want {`, `if m.keys[key].version != want && want == Absent {`}},
		pkg:   registers, test: "TestMemory",
	},
	{
		name:  "bolt-cas-compares-nothing",
		edits: []edit{{bolt + "commit.go", `if now != w.want {`, `if now != w.want && w.want == registers.Absent {`}},
		pkg:   bolt, test: "TestRegisters",
	},
	{
		name:  "no-fsync-of-a-blob",
		edits: []edit{{chunkdir + "put.go", `		err = d.fsync(f)`, `		err = nil`}},
		pkg:   chunkdir, test: "TestFsyncs",
	},
	{
		name:  "no-fsync-of-its-folder",
		edits: []edit{{chunkdir + "put.go", "	if err := d.syncFolder(folder); err != nil {\n		return translate(err)\n	}\n	return outcome\n", "	return outcome\n"}},
		pkg:   chunkdir, test: "TestFsyncs",
	},
	{
		name:  "fsync-tried-again",
		edits: []edit{{chunkdir + "sync.go", `		s.failed = err`, `		_ = err`}},
		pkg:   chunkdir, test: "TestFailedFolderFsync",
	},
	{
		name:  "tag-written-twice",
		edits: []edit{{versions + "tags.go", `if isConflict(err) && errors.Is(err, registers.ErrUnknown) {`, `if err == nil && errors.Is(err, registers.ErrUnknown) {`}},
		pkg:   versions, test: "TestTagIsWrittenOnce",
	},
	{
		name:  "push-forgets-a-collection",
		edits: []edit{{versions + "epochs.go", `max(rec.E0, epoch), rec.Attempt+1`, `epoch, rec.Attempt+1`}},
		pkg:   versions, test: "TestPushDoesNotForgetCollections",
	},
	{
		name:  "lost-body-of-a-commit-is-damage",
		edits: []edit{{collect + "mark.go", `case now.Body == h.Body && now.State == record.Pending:`, `case now.Body == h.Body && now.State == record.Dead:`}},
		pkg:   collect, test: "TestPendingWithoutBody",
	},
}
