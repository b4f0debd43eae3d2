// Package retention owns which versions of a repository stay where somebody has set
// a rule for it, and retires the others.
//
// Laws:
//   - A version that a tag points at stays, whatever the rule; it is the protocol of
//     retirement that makes sure of it, also against a tag that is set at the same
//     moment.
//   - What is younger than the grace is neither retired nor takes the place of what is
//     older. So a version stays for as long as the grace after it was last wanted, and
//     who pulls it, or makes another from it, comes to the end.
//   - What cannot be read stays: nobody knows what the rule says of it.
//   - To apply a rule again changes nothing, and so does applying it twice at the same
//     time: replicas need not agree who does it.
//   - No clock decides what is safe: a version with a wrong time is retired too early
//     or too late, and nothing else is lost.
package retention
