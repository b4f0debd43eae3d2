// Command gpudemo shows two services with models of their own that share one GPU
// which has room for one of them: they take turns, and one gets a variant of its
// model in place while it runs.
//
// It starts a registry, an agent and both services (service.py), says who had the
// GPU when and what moved for that, and ends with 1 if anything was wrong. The GPU
// is a real one, or else the fake driver's memory, and it says which.
//
//	make demo-gpu
package main
