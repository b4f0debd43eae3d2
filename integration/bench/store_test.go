package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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
// the folder, as a multiple of what minio-go takes: at most 1.3 is wanted. All three
// are run in turn, so that they see the same machine; the same figures in processor
// time of everybody who takes part, MinIO too, say what the wall clock says where all
// share few processors, and do not mind what else runs. INGOT_BENCH_MIB (1024) is the
// size of the model.
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
	ratios := map[string][]float64{}
	for b.Loop() {
		folder := s.round("--data", filepath.Join(s.work, "data"))
		bucket := s.minio.Bucket(b)
		replica := s.round("--store", s.minio.URL(bucket, "registry"), "--data", filepath.Join(s.work, "data"))
		put, get := s.direct(bucket)
		b.Logf("folder: push %v, pull %v; replica: push %v, pull %v; minio-go: put %v, get %v",
			folder.push, folder.pull, replica.push, replica.pull, put, get)
		for name, over := range map[string]float64{
			"push/put": ratio(replica.push.wall-folder.push.wall, put.wall), "push/put-cpu": ratio(replica.push.cpu-folder.push.cpu, put.cpu),
			"pull/get": ratio(replica.pull.wall-folder.pull.wall, get.wall), "pull/get-cpu": ratio(replica.pull.cpu-folder.pull.cpu, get.cpu),
		} {
			ratios[name] = append(ratios[name], over)
		}
	}
	for name, values := range ratios {
		b.ReportMetric(measure.Median(values), name)
	}
}

// ratio returns over as a multiple of base.
func ratio(over, base time.Duration) float64 { return over.Seconds() / base.Seconds() }

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

// cost is what something took: time, and processor time of all who took part.
type cost struct{ wall, cpu time.Duration }

// took is what the commands of a round took.
type took struct{ push, pull cost }

// cpu returns the processor time that was used so far by MinIO, a registry if there is
// one, this process, and those that it has waited for.
func (s *stores) cpu(server *exec.Cmd) time.Duration {
	s.b.Helper()
	pids := []int{s.minio.Pid(), os.Getpid()}
	if server != nil {
		pids = append(pids, server.Process.Pid)
	}
	var total time.Duration
	for _, pid := range pids {
		u, err := measure.Running(pid)
		if err != nil {
			s.b.Fatal(err)
		}
		total += u.CPU
	}
	var children syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children); err != nil {
		s.b.Fatal(err)
	}
	return total + time.Duration(children.Utime.Nano()+children.Stime.Nano())
}

// clock returns what f costs, after dirty pages of what ran before are written.
func (s *stores) clock(server *exec.Cmd, f func() error) (c cost) {
	s.b.Helper()
	if err := measure.Shell(nil, "sync"); err != nil {
		s.b.Fatal(err)
	}
	before, began := s.cpu(server), time.Now()
	if err := f(); err != nil {
		s.b.Fatal(err)
	}
	c.wall = time.Since(began)
	c.cpu = s.cpu(server) - before
	return c
}

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
	if err := s.await(addr); err != nil {
		s.b.Fatalf("%v\n%s", err, said.String())
	}
	pulled := filepath.Join(s.work, "pulled")
	var t took
	for _, c := range []struct {
		cost *cost
		args string
	}{
		{&t.push, fmt.Sprintf("push %q bench/model:base", s.model)},
		{&t.pull, fmt.Sprintf("pull bench/model:base %q --no-cache", pulled)},
	} {
		*c.cost = s.clock(server, func() error { return measure.Shell(environ, fmt.Sprintf("%q %s --quiet", program, c.args)) })
	}
	if err := errors.Join(measure.Shell(environ, fmt.Sprintf("diff -r %q %q", s.model, pulled)), os.RemoveAll(pulled)); err != nil {
		s.b.Fatal(err)
	}
	return t
}

// await returns when the registry answers. It listens before it has found out whether
// the store is fit, which takes more than a push.
func (s *stores) await(addr string) error {
	if err := measure.Await(addr); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.b.Context(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// direct copies what a registry has stored of models to another bucket with minio-go,
// and reads it from there.
func (s *stores) direct(from string) (put, get cost) {
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
func (s *stores) each(objects map[string][]byte, f func(context.Context, string) error) cost {
	s.b.Helper()
	return s.clock(nil, func() error {
		g, ctx := errgroup.WithContext(s.b.Context())
		g.SetLimit(client.DefaultParallel)
		for key := range objects {
			g.Go(func() error { return f(ctx, key) })
		}
		return g.Wait()
	})
}
