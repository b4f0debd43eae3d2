package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

// Use the tensors of a version that the agent of this machine holds, or brings.
func ExampleAgent_Lease() {
	ctx := context.Background()
	a, err := agent.New("", agent.Options{})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := a.Lease(ctx, openapi.LeaseRequest{Ref: "acme/llama:prod", Deadline: 600}, agent.LeaseOptions{
		Waiting: func(done, total int64) { fmt.Fprintf(os.Stderr, "%d of %d bytes are there\n", done, total) },
	})
	if errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) {
		log.Fatal("others have the memory: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = lease.Close() }() // no tensor is used after that
	norm, err := lease.Tensor("", "model.norm.weight")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(norm.DType, norm.Shape, len(norm.Bytes))
}

// Look at tensors one after another, each as soon as it is there, of a version
// that may be larger than the agent's memory.
func ExampleLease_Tensors() {
	ctx := context.Background()
	a, err := agent.New("", agent.Options{})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := a.Lease(ctx, openapi.LeaseRequest{Ref: "acme/llama:prod", Mode: openapi.LeaseWindow}, agent.LeaseOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = lease.Close() }()
	for tensor, err := range lease.Tensors(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tensor.Name, len(tensor.Bytes)) // the bytes are gone in the next round
	}
}

// Follow a reference: what is leased stays, and the next version is leased before
// the one in use is let go.
func ExampleLease_Moved() {
	ctx := context.Background()
	a, err := agent.New("", agent.Options{})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := a.Lease(ctx, openapi.LeaseRequest{Ref: "acme/llama:prod"}, agent.LeaseOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for {
		version, ok := <-lease.Moved()
		if !ok {
			return // see lease.Err
		}
		next, err := a.Lease(ctx, openapi.LeaseRequest{Ref: "acme/llama:prod"}, agent.LeaseOptions{})
		if err != nil {
			log.Print(err) // the old one still serves
			continue
		}
		fmt.Println("now serving", version.Short())
		if err := lease.Close(); err != nil {
			log.Print(err)
		}
		lease = next
	}
}
