// Package cudatest owns the fake driver for tests: a libcuda.so.1 in C over the
// memory of the host, strict where clients of the real one go wrong. Tests over it
// have Fake in their names, and make no claim about speed.
//
// Use compiles the library (package fakecuda), sets INGOT_LIBCUDA and FAKECUDA_STATE
// for the test and the processes that it starts, and returns the state that they all
// share: counters, faults to order, and what each of them holds. A program that is
// not in Go needs these two variables and nothing else; without a state to begin
// with, the first process makes it of FAKECUDA_DEVICES, FAKECUDA_MEM,
// FAKECUDA_CONTEXT, FAKECUDA_GBPS, FAKECUDA_LAZY, FAKECUDA_RO_REGISTER,
// FAKECUDA_VERSION and FAKECUDA_FAIL, and without FAKECUDA_STATE a process has one for
// itself. CUDA_VISIBLE_DEVICES is read by each process, as is its role: FAKECUDA_ROLE,
// or else the first word after the program's name.
//
// What is as in a driver:
//   - A context is current on a thread. Without one, calls that need it give 201, and
//     709 when it has been released for the last time. Streams, events, modules,
//     registrations and what cuMemAlloc gave end with their context; what VMM gave
//     does not.
//   - A process that was forked cannot use the driver, nor can a function that a
//     stream calls.
//   - Streams are threads. What was not waited for may not have been done, and with
//     Options.Lazy it surely has not. The legacy stream has its order with others.
//   - Device memory is poison (0xA5), not zeros. It lives as long as a handle, a
//     mapping or a descriptor holds it in any process, or on its way in a socket, and
//     it is taken from the budget of its device just as long. What a process held that
//     has died, by SIGKILL too, is free. With Options.Context, contexts take theirs.
//   - Handles are real descriptors to other processes, and access is the protection of
//     pages: a mapping has none at first, and who writes through a mapping for reading
//     dies of SIGSEGV, or, by a copy, of 700.
//   - Mappings: whole handles at offset 0, on the granularity, inside of one
//     reservation and over nothing else. SetAccess and Unmap take whole mappings, and
//     any number of them. A reservation goes when nothing is mapped in it.
//   - Memory that is registered is read when the stream gets there, other memory when
//     the copy is asked for. A copy lies in one registration or outside of all: else 1.
//     Registering fills every page. It wants whole pages, READ_ONLY for what cannot be
//     written, and refuses a file on a disk.
//   - 700, 702, 714, 716, 718, 719 and 214 stick: every later call of the process that
//     had a context gives them.
//   - Unmapping device memory or unregistering host memory that unfinished work uses
//     gives 700, and so does work that finds its memory gone or without access.
//   - Copies of a batch are done in no order (the last first), none of them if one is
//     wrong, and not on the legacy stream.
//   - A kernel is found if the PTX declares it, and the PTX must suit driver and
//     device. It runs as its twin for a host, on addresses that are checked, as they
//     must be aligned.
//   - A handle is never given twice, has more than 32 bits, and is refused after its
//     end. Functions have the names of their versions and no other.
//   - CUDA_VISIBLE_DEVICES renumbers devices. Only the UUID names one.
//
// What a driver would let pass, with wrong bytes for a result, ends the process with
// SIGABRT and a message, and fails the test (State.Violations): pages under a
// registration that are given back before it is, which a device would go on reading,
// and which would stay taken.
//
// Stricter than a driver, which may or may not mind: address calls need a context, a
// mapping is a whole handle, registrations are whole pages, batches refuse sizes of
// zero.
//
// What differs from a driver, and only a GPU can show:
//   - No speed, no cost of a call, no copy engines, no bus. Options.GBps makes copies
//     slow, so that things overlap that should; it measures nothing.
//   - A CPU can read and write device memory at its address, as far as access goes.
//     Tests make use of it.
//   - There is no fault of a device's own: a kernel that goes astray is refused by its
//     bounds, and what PTX does is not run at all, nor compiled.
//   - A handle takes a descriptor in the process that has it. What is exported is a
//     memfd: that its size can be asked for, or its bytes read, holds for the fake only.
//   - An error that sticks is of the process, not of one of its contexts.
//   - A page that left under a registration and has another mapping at its address,
//     filled, is not told apart. On a machine that swaps, or puts pages of shared memory
//     together, only a page that is nowhere is seen.
//   - No peers, no managed memory, no legacy IPC, no graphs, no MIG, no fabric, no RDMA.
//   - Processes find each other by pid, so they must be in one pid namespace, and
//     /proc/locks must list what locks there are: sandboxes that leave it empty lose
//     the memory in the books.
package cudatest
