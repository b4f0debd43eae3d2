// Package checkpoints owns which folders are checkpoints that somebody has finished
// writing: folders with a number, such as checkpoint-500, below the one that is
// looked at, or that one itself where it is written over again and again.
//
// Laws:
//   - What may be half of a checkpoint is none: a shard that an index names has to be
//     there, a file has to be as long as its header says, nothing may be called as
//     what is being written, and nothing may have changed for a while.
//   - A checkpoint is told of once, in the order of the steps; again only when it was
//     written over. What was told of and done is remembered in a journal, so that
//     who starts anew does not begin from the start.
//   - Nothing is written where the checkpoints are, and what is in their files is
//     believed in nothing but for telling that more is to come.
package checkpoints
