// Package metrics owns what a registry tells Prometheus of itself, and what is measured
// of its store. What others count already is asked for when somebody looks.
//
// Laws:
//   - No label has more values than there are routes, codes and kinds, whatever callers
//     send and however many models there are. Nothing names a repository or a caller.
//   - Every name is there from the beginning, with the value 0, as far as its labels are
//     known ahead: an alert on it need not wait for the first event.
//   - Measuring takes no lock that is held over what is measured.
package metrics
