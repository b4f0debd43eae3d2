package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/folders"
	"github.com/ingot-ml/ingot/registry/hub"
)

// How long a registration lasts, and how often it is made again: a registry that
// starts anew has forgotten it.
const (
	watchLife  = 60 // seconds
	watchEvery = 10 * time.Second
	// watchLeave is how long the end of a registration may take.
	watchLeave = 3 * time.Second
)

// watchFlags are what import --watch is told.
type watchFlags struct {
	watch  bool
	listen string
	log    logConfig
}

// importWatch shows folders to the registry as models of a namespace until ctx ends.
func (p *program) importWatch(ctx context.Context, args []string, f watchFlags) error {
	if len(args) != 2 {
		return usagef("import --watch: name the folder or the bucket, and the NAMESPACE that its models get")
	}
	source, namespace := args[0], args[1]
	if !isNamespace(namespace) {
		return usagef("import --watch: namespace %.80q: want letters, digits, \".\", \"_\" and \"-\", such as archive", namespace)
	}
	r, err := p.connect()
	if err != nil {
		return err
	}
	defer r.Close()
	root, err := openFolders(ctx, source)
	if err != nil {
		return fmt.Errorf("import --watch: %w: %w", err, client.ErrInput)
	}
	logger := p.newLogger(f.log)
	w := &watcher{program: p, registry: r, namespace: namespace, source: source, logger: logger}
	w.folders = folders.New(root, namespace, logger)
	return errors.Join(w.run(ctx, f.listen), root.Close())
}

// openFolders opens a directory, or a part of a bucket.
func openFolders(ctx context.Context, source string) (folders.Root, error) {
	if strings.HasPrefix(source, "s3://") {
		return folders.OpenBucket(ctx, source)
	}
	if scheme, _, found := strings.Cut(source, "://"); found {
		return nil, usagef("%.20q is no kind of source: want s3://BUCKET/PREFIX or a DIR", scheme+"://")
	}
	return folders.OpenDir(source)
}

// watcher shows folders to a registry.
type watcher struct {
	*program
	registry          *client.Registry
	namespace, source string
	folders           *folders.Source
	logger            *slog.Logger
	url               string // of the hub that shows them
}

func (w *watcher) run(ctx context.Context, listen string) error {
	models, err := w.folders.Models(ctx, catalog.Query{})
	if err != nil {
		return fmt.Errorf("import --watch: %w: %w", err, client.ErrInput)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("import --watch: %w; choose a free address with --listen", err)
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return errors.Join(usagef("import --watch: --listen %s: name the address under which the registry reaches this machine", listen), l.Close())
	}
	w.url = (&url.URL{Scheme: "http", Host: l.Addr().String()}).String()
	server := w.server()
	served := make(chan error, 1)
	go func() {
		defer close(served)
		served <- server.Serve(l)
	}()
	err = w.register(ctx)
	if err == nil {
		err = w.printReady(len(models))
	}
	if err == nil {
		err = w.stay(ctx, served)
		w.leave(ctx)
	}
	err = errors.Join(err, server.Close())
	for range served { // says only that it was stopped
	}
	return err
}

// server answers the registry.
func (w *watcher) server() *http.Server {
	h := hub.New(hub.Config{Source: w.folders, Logger: w.logger})
	return &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !hub.Owns(r.URL.EscapedPath()) {
				http.NotFound(rw, r)
				return
			}
			h.ServeHTTP(rw, r)
		}),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(w.logger.Handler(), slog.LevelDebug),
	}
}

func (w *watcher) register(ctx context.Context) error {
	return w.registry.RegisterUpstream(ctx, w.namespace, openapi.Upstream{URL: w.url, TTL: watchLife})
}

func (w *watcher) printReady(models int) error {
	if w.json {
		return w.printJSON(map[string]any{"source": w.source, "namespace": w.namespace, "address": w.url, "models": models})
	}
	w.printf("%s of %s can be had as %s/NAME\n", count(models, "model"), w.source, w.namespace)
	return nil
}

// stay registers again and again until ctx ends. A registry that is away comes back;
// one that says no for good ends it.
func (w *watcher) stay(ctx context.Context, served <-chan error) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("import --watch: %w", err)
		case <-tick.C:
		}
		err := w.register(ctx)
		if said, ok := errors.AsType[*openapi.Error](err); ok && !said.Code.Temporary() {
			return err
		}
		if (err != nil) != away && ctx.Err() == nil {
			away = err != nil
			w.logger.Warn("the registry comes or goes", "away", away, "error", err)
		}
	}
}

// leave tells the registry that nothing is shown any more. If that fails it notices
// before long.
func (w *watcher) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchLeave)
	defer cancel()
	if err := w.registry.ForgetUpstream(ctx, w.namespace); err != nil {
		w.logger.Info("the registry was not told of the end", "error", err)
	}
}
