// Command mutate measures how strong the tests are: it changes one thing in the code, runs the tests that reach that
// place, and sees whether one of them fails. A change that no test finds is a survivor.
//
//	go run ./infra/mutate -n 600 -seed 1 -results infra/mutate/RESULTS.md
//
// It chooses n changes by the seed, at least a sixth of them drops. The patterns are those of gremlins
// (https://github.com/go-gremlins/gremlins) and two more:
//
//	negation      a == b becomes a != b, and the other way round
//	boundary      a < b becomes a <= b, and the other way round; > and >= alike
//	logic         a && b becomes a || b, and the other way round
//	arithmetic    a + b becomes a - b, a * b becomes a / b, and the other way round
//	step          i++ becomes i--, and the other way round
//	loop          break becomes continue, and the other way round
//	condition     if c becomes if !c, where c is a name or a call
//	drop          a call whose result nobody uses, or a write to a field, is left out
//
// gremlins builds a package and runs all its tests for each change, which takes hours here. This program builds each test
// binary once, with all chosen changes in it, each behind a switch that an environment variable turns. It then runs each
// test once to learn which changes it reaches, and for each change only the tests that reach it, the quickest first.
//
// Every package of -tests looks for every change, so that a rule of a lower package may be kept by the tests of a higher
// one. A change that no test reaches counts as a survivor. What was found out about a survivor (a test that came of it, or
// why it changes nothing) stands in verdicts.txt, by the text of its place and not by a line number, and is carried over
// into the results (RESULTS.md).
//
// It needs an idle machine for its time limits to mean something, and DynamoDB Local (COUNTERSIGN_DYNAMODB) for the tests
// of pkg/store/dynamo. It writes nothing into the tree but the results.
package main
