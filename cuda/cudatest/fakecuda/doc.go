// Package fakecuda owns a libcuda.so.1 of our own, over the memory of the host: C
// that is compiled where it is needed, and the state that all processes share which
// load it. Tests use it through package cudatest; programs that must run without a
// GPU use it from here.
package fakecuda
