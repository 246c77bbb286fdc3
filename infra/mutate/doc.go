// Command mutate measures how strong the tests are. It changes one place in the code, runs the tests that reach that place,
// and sees whether one of them fails. A change that no test finds is a survivor. Then it does the same with another place.
//
//	go run ./infra/mutate -n 600 -seed 1 -results infra/mutate/RESULTS.md
//
// The seed decides which n changes it chooses. At least a sixth of them are drops. The patterns are those of gremlins
// (https://github.com/go-gremlins/gremlins), and two more:
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
// gremlins builds a package and runs all its tests for each change, which takes hours with this code. This program builds each
// test binary only once. The binary has all chosen changes, and an environment variable says which of them is on. The program
// runs each test once to find out which changes the test reaches. For each change it then runs only the tests that reach it,
// the quickest first.
//
// The tests of every package in -tests look for every change, because the tests of a higher package may check a rule of a lower
// one. A change that no test reaches counts as a survivor. What people found out about a survivor is in verdicts.txt: which
// test was written for it, or why it changes no behaviour. A line of that file names a place by its text and not by a line
// number. The results (RESULTS.md) repeat it.
//
// Run it on a machine that does nothing else, because otherwise its time limits say nothing. The tests of pkg/store/dynamo need
// DynamoDB Local (COUNTERSIGN_DYNAMODB). It refuses to change the code itself, and writes only the results.
package main
