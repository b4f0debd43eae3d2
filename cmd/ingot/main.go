// Command ingot keeps versions of models: it serves a registry, pushes models to
// it and pulls them back, and says what is there.
//
// This package owns what people type and read: commands, flags, tables, JSON
// documents, exit codes. Its laws:
//   - A command is one file with one constructor. It reads its flags, calls the
//     client or the registry, and prints; how models move is not decided here.
//   - Standard output is the answer, standard error is everything else. With
//     --json both are JSON, and the fields are a contract.
//   - A failure is one line that names the object, and an exit code that says what
//     kind it is. The code is chosen in one place, judge.
//   - Nothing is read from the process but by main: run gets its arguments,
//     environment and outputs, so that tests call it as they like.
//
// docs/reference is made from the commands' own help and the keys of config.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker, see the Makefile.
var version = "unversioned"

func main() { os.Exit(start()) }

// start runs the program until it ends or is told to: the first signal asks it
// to finish, the second ends it at once.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
}
