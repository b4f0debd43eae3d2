// Package gpu owns what one GPU holds: images of versions, the slabs that they are
// made of, who uses which, and how one version comes in the place of another.
//
// A slab is memory of the GPU that can be given to other processes, at most 512 MiB
// of it. An image is slabs in an order; whoever maps them one behind the other has
// the tensors of a version. What is in a slab is said by its recipe, which parts of
// which chunks lie where, and two slabs of one namespace with the same recipe are
// one slab: so a variant of a version that is there takes only slabs in which
// something differs.
//
// Laws:
//   - An image is shown to nobody before every byte of it is there, and from then on
//     nobody writes to it but a swap, while those who use it have paused.
//   - A swap writes only into slabs that no other image has. One that fails puts
//     back what was there, or says that the image is gone.
//   - Whoever uses an image keeps it until he says that he does not: nobody is
//     forced. Who does not pause in time makes a swap fail.
//   - The slabs never take more than the budget, and leave the headroom of the GPU
//     to others: room is made before it is used.
//   - Those who want to change what is on the GPU stand in one line, by priority and
//     then by age. The one in front works alone.
//   - Bytes between tensors are zero: nothing of a former owner of the memory is
//     shown.
package gpu
