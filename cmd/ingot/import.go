package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/artifact"
	"github.com/ingot-ml/ingot/registry/name"
)

// importFlags are what import is told beside SOURCE and REF.
type importFlags struct {
	pushFlags
	plainHTTP bool
	work      string
}

func (p *program) importCommand() *cobra.Command {
	var f importFlags
	w := watchFlags{log: newLogConfig()}
	cmd := &cobra.Command{
		Use:   "import SOURCE [REF]",
		Short: "Store what comes from an OCI registry, an archive or a folder",
		Long: `Import stores the model at SOURCE, sending only chunks that the registry lacks:
  oci://HOST/REPOSITORY:TAG  an artifact of an OCI registry: a model as the CNCF
                             specifies it, one of KitOps or ollama, or files with
                             the titles of ORAS
  FILE                       an archive of "ingot export"; - is one on standard input
  DIR, or another FILE       what "ingot push" stores

The versions of an archive keep their names, and REF is left out; an archive of one
version can get another REF. All others need a REF. An artifact comes into a folder
first, and from there into the registry. An import that was interrupted goes on when
it is run again, but for one from standard input, which sends less at least.

With --watch it is import --watch SOURCE NAMESPACE, and SOURCE is a DIR or
s3://BUCKET/PREFIX of plain folders of models, each with its files, which stay as they
are. Import shows them to the registry until it is told to stop: it lists them at
once, as NAMESPACE/FOLDER, and fetches each file when somebody first wants it. What
changes is another version. What was fetched stays when import ends.

With --json it prints:
  versions  what was stored, each as of push
and with --watch, when it is ready:
  source, namespace, address  what is shown, as what, and where to the registry
  models                      how many there are now`,
		Example: `  ingot import oci://registry.example/acme/llama:v1 acme/llama:v1
  ingot import llama.ingot
  ingot import llama.ingot acme/llama:from-afar
  ingot import --watch /mnt/models archive`,
		ValidArgsFunction: arguments(aFile, p.aRef),
		Args:              want(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.watch {
				return p.importWatch(cmd.Context(), args, w)
			}
			var ref name.Ref
			if len(args) == 2 {
				var err error
				if ref, err = parseRef(args[1]); err != nil {
					return swapped(cmd, args[1], args[0], err)
				}
			}
			return p.importAny(cmd.Context(), cmd.InOrStdin(), args[0], ref, f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.annotations, "annotation", nil, "a fact about the version, as `KEY=VALUE`; may be repeated; not for archives")
	flags.BoolVar(&f.malformed, "allow-malformed", false, "store a file that is not what its name says as plain bytes")
	flags.BoolVar(&f.noResume, "no-resume", false, "start anew, and do not remember an interrupted import")
	flags.BoolVar(&f.plainHTTP, "plain-http", false, "talk to the OCI registry without TLS, as is done anyway with one on this machine")
	flags.StringVar(&f.work, "work", "", "`DIR` for an artifact on its way (default ingot/imports in the user's cache folder)")
	flags.BoolVar(&w.watch, "watch", false, "show the folders at SOURCE as models of a namespace, until told to stop")
	flags.StringVar(&w.listen, "listen", "127.0.0.1:0", "with --watch, `HOST:PORT` where the registry reaches them; a registry elsewhere has to allow the host with --upstream-host")
	for _, k := range w.log.keys() {
		flags.VarP(k, k.name, "", k.usage)
	}
	return cmd
}

// importAny stores what is at source, whatever it is.
func (p *program) importAny(ctx context.Context, stdin io.Reader, source string, ref name.Ref, f importFlags) error {
	named := ref != name.Ref{}
	if named && ref.Tag == "" {
		return usagef("import: %s names a version by its digest, which follows from the files: give a tag, as in %s:%s", ref, ref.Repo, name.DefaultTag)
	}
	if source == pipe {
		return p.importArchive(ctx, struct{ io.Reader }{stdin}, ref, f)
	}
	if strings.HasPrefix(source, artifact.Scheme) {
		if !named {
			return usagef("import: name the REF under which %s is stored", source)
		}
		return p.importArtifact(ctx, source, ref, f)
	}
	if scheme, _, found := strings.Cut(source, "://"); found {
		return usagef("import: %.20q is no kind of source: want %sHOST/REPOSITORY:TAG, a FILE or a DIR", scheme+"://", artifact.Scheme)
	}
	file, err := openArchive(source)
	if err != nil {
		return err
	}
	if file != nil {
		return errors.Join(p.importArchive(ctx, file, ref, f), file.Close())
	}
	if !named {
		return usagef("import: %s is no archive: name the REF under which it is stored", source)
	}
	got, err := p.pushed(ctx, source, ref, f, nil)
	if err != nil {
		return err
	}
	return p.printImport([]client.Receipt{got})
}

// openArchive opens the file at path if that is an archive; nil for all else.
func openArchive(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w: %w", err, client.ErrInput)
	}
	if !info.Mode().IsRegular() {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w: %w", err, client.ErrInput)
	}
	magic := make([]byte, len(client.ArchiveMagic))
	if _, err := file.ReadAt(magic, 0); err != nil || string(magic) != client.ArchiveMagic {
		return nil, file.Close()
	}
	return file, nil
}

func (p *program) importArchive(ctx context.Context, from io.Reader, ref name.Ref, f importFlags) error {
	if len(f.annotations) > 0 {
		return usagef("import: the versions of an archive stay what they are: leave --annotation out")
	}
	r, err := p.connectLong(ctx)
	if err != nil {
		return err
	}
	var got []client.Receipt
	err = p.watch("importing", func(progress client.Progress) error {
		o := client.ImportOptions{As: ref, Journal: p.journal(f.noResume), Progress: progress}
		got, err = r.Import(ctx, from, o)
		return err
	})
	if err != nil {
		return resumable(ctx, err)
	}
	return p.printImport(got)
}

// importArtifact gets an artifact into a folder, and pushes that.
func (p *program) importArtifact(ctx context.Context, address string, ref name.Ref, f importFlags) error {
	if _, err := p.connectLong(ctx); err != nil { // before gigabytes are fetched for nothing
		return err
	}
	work, err := p.workFolder(f)
	if err != nil {
		return err
	}
	var a *artifact.Artifact
	var files string
	err = p.watch("fetching "+address, func(progress client.Progress) error {
		a, err = artifact.Open(ctx, address, artifact.Options{
			PlainHTTP: f.plainHTTP, Credentials: p.dockerConfig(), UserAgent: "ingot/" + version, Progress: progress,
		})
		if err != nil {
			return err
		}
		work = filepath.Join(work, strings.ReplaceAll(a.Digest, ":", "-"))
		files, err = a.Fetch(ctx, work)
		return err
	})
	if errors.Is(err, client.ErrUnreachable) && ctx.Err() == nil {
		err = advised{fmt.Errorf("import %s: %v: %w", address, err, client.ErrUnreachable)}
	}
	if err != nil {
		return resumable(ctx, fmt.Errorf("import: %w", err))
	}
	got, err := p.pushed(ctx, files, ref, f, map[string]string{"oci.source": address, "oci.digest": a.Digest})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("import: remove what has been fetched: %w", err)
	}
	return p.printImport([]client.Receipt{got})
}

// workFolder returns the folder for artifacts on their way.
func (p *program) workFolder(f importFlags) (string, error) {
	if f.work != "" {
		return f.work, nil
	}
	below, err := p.cacheFolder()
	if err != nil {
		return "", usagef("no folder for what is fetched: %v; name one with --work", err)
	}
	return filepath.Join(below, "imports"), nil
}

// dockerConfig returns the path of the file in which docker and oras keep
// credentials, or "" if there is none.
func (p *program) dockerConfig() string {
	dir := p.env("DOCKER_CONFIG")
	if home := p.env("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".docker")
	}
	path := filepath.Join(dir, "config.json")
	if _, err := os.Stat(path); dir == "" || err != nil {
		return ""
	}
	return path
}

// pushed pushes the folder or file at path, with facts beside those of the flags.
func (p *program) pushed(ctx context.Context, path string, ref name.Ref, f importFlags, facts map[string]string) (got client.Receipt, err error) {
	annotations, err := parseAnnotations(f.annotations)
	if err != nil {
		return got, err
	}
	for key, value := range facts {
		if _, given := annotations[key]; !given {
			annotations[key] = value
		}
	}
	r, err := p.connectLong(ctx)
	if err != nil {
		return got, err
	}
	o := client.PushOptions{Annotations: annotations, AllowMalformed: f.malformed, Journal: p.journal(f.noResume)}
	err = p.watch("importing "+ref.String(), func(progress client.Progress) error {
		o.Progress = progress
		got, err = r.Push(ctx, path, ref, o)
		return err
	})
	if err != nil && o.Journal != "" {
		err = resumable(ctx, err)
	}
	return got, err
}

func (p *program) printImport(got []client.Receipt) error {
	if p.json {
		return p.printJSON(map[string][]client.Receipt{"versions": got})
	}
	for _, v := range got {
		p.printf("imported %s  %s\n", v.Ref, short(v.Digest))
		p.printf("%s in %s, %s of which %d new: sent %s, stored %s, %s\n", size(v.BytesTotal), count(v.Files, "file"),
			count(v.ChunksTotal, "chunk"), v.ChunksNew, size(v.BytesSent), size(v.BytesStored), seconds(v.Seconds))
	}
	return nil
}
