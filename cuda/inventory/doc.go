// Package inventory owns what a node tells about its GPUs beside using them: how
// they are connected, how full they are, and by whom. It asks NVML, which needs
// cgo; a program that is built without it has no inventory and loses nothing else.
//
// A machine without a library, a driver or a GPU is a state of the report, and no
// error. Only the report's facts that this driver and this GPU can tell are set.
//
// NVML's functions are bound when they are first called, so a program that is linked
// for immediate binding (-z now) does not start on a machine without the library.
// Where that is the default of the compiler, build with CGO_LDFLAGS=-Wl,-z,lazy; where
// it is the only way of the dynamic linker, as with musl, build without cgo.
package inventory
