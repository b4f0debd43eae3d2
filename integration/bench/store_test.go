package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/integration/measure"
	"github.com/ingot-ml/ingot/integration/storetest"
)

// BenchmarkStore pushes and pulls a model through one replica over MinIO on this
// machine, through a registry over a folder, and moves the same encoded bytes with
// minio-go at the same concurrency. It reports how much longer the replica takes than
// the folder, as a multiple of what minio-go takes: at most 1.3 is wanted. What it
// counts of one kind is run in turn with the others, so that all see the same machine.
// INGOT_BENCH_MIB (1024) is the size of the model.
func BenchmarkStore(b *testing.B) {
	mib, err := strconv.ParseInt(env("INGOT_BENCH_MIB", "1024"), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	s := &stores{b: b, minio: storetest.MinIO(b), work: b.TempDir()}
	s.model = filepath.Join(s.work, "model")
	if err := synth.Write(b.Context(), s.model, synth.ForSize(mib<<20)); err != nil {
		b.Fatal(err)
	}
	var push, pull []float64
	for b.Loop() {
		folder := s.round("--data", filepath.Join(s.work, "data"))
		bucket := s.minio.Bucket(b)
		replica := s.round("--store", s.minio.URL(bucket, "registry"), "--data", filepath.Join(s.work, "data"))
		put, get := s.direct(bucket)
		push = append(push, (replica.push-folder.push).Seconds()/put.Seconds())
		pull = append(pull, (replica.pull-folder.pull).Seconds()/get.Seconds())
		b.Logf("folder: push %v, pull %v; replica: push %v, pull %v; minio-go: put %v, get %v",
			folder.push, folder.pull, replica.push, replica.pull, put, get)
	}
	b.ReportMetric(measure.Median(push), "push/put")
	b.ReportMetric(measure.Median(pull), "pull/get")
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// stores is what the rounds have in common.
type stores struct {
	b           *testing.B
	minio       *storetest.Store
	work, model string
}

// took is how long the commands took.
type took struct{ push, pull time.Duration }

// round runs a new registry, pushes the model, and pulls it.
func (s *stores) round(args ...string) took {
	s.b.Helper()
	addr, err := measure.FreeAddress()
	if err != nil {
		s.b.Fatal(err)
	}
	program, err := filepath.Abs("../../bin/ingot")
	if err != nil {
		s.b.Fatal(err)
	}
	environ := append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(s.work, "home"), "INGOT_REGISTRY=http://" + addr}, s.minio.Env()...)
	server := exec.Command(program, append([]string{"serve", "--listen", addr, "--gc-every", "none", "--scrub-every", "none"}, args...)...)
	server.Env = environ
	var said bytes.Buffer
	server.Stderr = &said
	if err := server.Start(); err != nil {
		s.b.Fatalf("start the registry (make build makes it): %v", err)
	}
	defer func() {
		_, _ = server.Process.Kill(), server.Wait() // it is of no use any more
		if err := os.RemoveAll(filepath.Join(s.work, "data")); err != nil {
			s.b.Error(err)
		}
	}()
	if err := measure.Await(addr); err != nil {
		s.b.Fatalf("%v\n%s", err, said.String())
	}
	pulled := filepath.Join(s.work, "pulled")
	var t took
	for _, c := range []struct {
		took *time.Duration
		args string
	}{
		{&t.push, fmt.Sprintf("push %q bench/model:base", s.model)},
		{&t.pull, fmt.Sprintf("pull bench/model:base %q --no-cache", pulled)},
	} {
		if *c.took, _, err = measure.Clock(environ, fmt.Sprintf("%q %s --quiet", program, c.args)); err != nil {
			s.b.Fatal(err)
		}
	}
	if err := errors.Join(measure.Shell(environ, fmt.Sprintf("diff -r %q %q", s.model, pulled)), os.RemoveAll(pulled)); err != nil {
		s.b.Fatal(err)
	}
	return t
}

// direct copies what a registry has stored of models to another bucket with minio-go,
// and reads it from there.
func (s *stores) direct(from string) (put, get time.Duration) {
	s.b.Helper()
	c, err := minio.New(strings.TrimPrefix(s.minio.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(s.minio.AccessKey, s.minio.SecretKey, ""), Region: s.minio.Region,
	})
	if err != nil {
		s.b.Fatal(err)
	}
	objects := map[string][]byte{}
	for object := range c.ListObjectsIter(s.b.Context(), from, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			s.b.Fatal(object.Err)
		}
		if objects[object.Key], err = read(s.b.Context(), c, from, object.Key); err != nil {
			s.b.Fatal(err)
		}
	}
	to := s.minio.Bucket(s.b)
	if err := measure.Shell(nil, "sync"); err != nil {
		s.b.Fatal(err)
	}
	put = s.each(objects, func(ctx context.Context, key string) error {
		opts := minio.PutObjectOptions{DisableMultipart: true, DisableContentSha256: true}
		_, err := c.PutObject(ctx, to, key, bytes.NewReader(objects[key]), int64(len(objects[key])), opts)
		return err
	})
	get = s.each(objects, func(ctx context.Context, key string) error {
		body, err := read(ctx, c, to, key)
		if err == nil && !bytes.Equal(body, objects[key]) {
			err = fmt.Errorf("%s is another", key)
		}
		return err
	})
	return put, get
}

func read(ctx context.Context, c *minio.Client, bucket, key string) ([]byte, error) {
	object, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(object)
	return body, errors.Join(err, object.Close())
}

// each calls f with every key, as many at a time as a client of the registry sends.
func (s *stores) each(objects map[string][]byte, f func(context.Context, string) error) time.Duration {
	s.b.Helper()
	g, ctx := errgroup.WithContext(s.b.Context())
	g.SetLimit(client.DefaultParallel)
	began := time.Now()
	for key := range objects {
		g.Go(func() error { return f(ctx, key) })
	}
	if err := g.Wait(); err != nil {
		s.b.Fatal(err)
	}
	return time.Since(began)
}
