package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"sort"
	"strings"
)

// A mutant is one change of the code, behind a switch.
type mutant struct {
	ID      int
	Pattern string
	Package string // the path of its package in the module
	File    string // the path of its file in the module
	Func    string // the function that it is in
	Part    string // the code that is changed
	Text    string // the line on which it begins, without the space around it

	edits []edit
}

// place names a mutant by its text, so that the name stays the same when lines move.
func (m *mutant) place() string {
	return strings.Join([]string{m.File, m.Func, m.Pattern, m.Part, m.Text}, " ¦ ")
}

// An edit puts text before the byte at an offset of a file.
type edit struct {
	at   int
	text string
	open bool // the text opens something; of several edits at one place, those that close something come first
}

// A finder collects the mutants of one file.
type finder struct {
	files  *token.FileSet
	info   *types.Info
	source []byte
	file   string
	pkg    string
	within string
	found  []*mutant
}

func (f *finder) offset(p token.Pos) int { return f.files.Position(p).Offset }

func (f *finder) text(n ast.Node) string {
	return string(f.source[f.offset(n.Pos()):f.offset(n.End())])
}

// add notes a mutant that puts the texts before and after around a node. "%d" in them stands for the number of the mutant.
func (f *finder) add(pattern string, n ast.Node, before, after string) {
	at := f.files.Position(n.Pos())
	line := string(f.source)
	start := strings.LastIndexByte(line[:at.Offset], '\n') + 1
	end := strings.IndexByte(line[at.Offset:], '\n')
	if end < 0 {
		end = len(line) - at.Offset
	}
	f.found = append(f.found, &mutant{
		Pattern: pattern, Package: f.pkg, File: f.file, Func: f.within,
		Part: oneLine(f.text(n)), Text: oneLine(line[start : at.Offset+end]),
		edits: []edit{{at: at.Offset, text: before, open: true}, {at: f.offset(n.End()), text: after}},
	})
}

// oneLine returns text without line ends, cut to a length that fits into a table.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 120 {
		text = strings.ToValidUTF8(text[:120], "") + "…"
	}
	return text
}

// look finds the mutants of a function.
func (f *finder) look(body *ast.BlockStmt) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			f.binary(n)
		case *ast.IfStmt:
			switch n.Cond.(type) {
			case *ast.Ident, *ast.CallExpr, *ast.SelectorExpr, *ast.UnaryExpr:
				f.add("condition", n.Cond, "((", ") != mutantOn(%d))")
			}
		case *ast.BlockStmt:
			f.statements(n.List)
		case *ast.CaseClause:
			f.statements(n.Body)
		case *ast.CommClause:
			f.statements(n.Body)
		}
		return true
	})
}

func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok && f.text(call.Fun) != "panic" {
				f.add("drop", s, "if !mutantOn(%d) { ", " }")
			}
		case *ast.AssignStmt:
			if _, field := s.Lhs[0].(*ast.SelectorExpr); field && s.Tok == token.ASSIGN {
				f.add("drop", s, "if !mutantOn(%d) { ", " }")
			}
		case *ast.IncDecStmt:
			other := map[token.Token]string{token.INC: "--", token.DEC: "++"}[s.Tok]
			f.add("step", s, "if mutantOn(%d) { "+f.text(s.X)+other+" } else { ", " }")
		case *ast.BranchStmt:
			other := map[token.Token]string{token.BREAK: "continue", token.CONTINUE: "break"}[s.Tok]
			if other != "" && s.Label == nil {
				f.add("loop", s, "if mutantOn(%d) { "+other+" } else { ", " }")
			}
		}
	}
}

func (f *finder) binary(n *ast.BinaryExpr) {
	if whole, ok := f.info.Types[n]; !ok || whole.Value != nil {
		return // a constant is computed by the compiler, so no switch can change it
	}
	x, y := f.text(n.X), f.text(n.Y)
	switch n.Op {
	case token.EQL, token.NEQ:
		f.add("negation", n, "((", ") != mutantOn(%d))")
	case token.LSS, token.GTR:
		f.add("boundary", n, "((", fmt.Sprintf(") || mutantOn(%%d) && (%s) == (%s))", x, y))
	case token.LEQ, token.GEQ:
		f.add("boundary", n, "((", fmt.Sprintf(") && !(mutantOn(%%d) && (%s) == (%s)))", x, y))
	case token.LAND:
		f.add("logic", n, "((", fmt.Sprintf(") || mutantOn(%%d) && ((%s) || (%s)))", x, y))
	case token.LOR:
		f.add("logic", n, "((", fmt.Sprintf(") && (!mutantOn(%%d) || (%s) && (%s)))", x, y))
	case token.ADD, token.SUB, token.MUL, token.QUO:
		basic, ok := f.info.TypeOf(n).Underlying().(*types.Basic)
		if !ok || basic.Info()&types.IsNumeric == 0 {
			return
		}
		other := map[token.Token]string{token.ADD: "-", token.SUB: "+", token.MUL: "/", token.QUO: "*"}[n.Op]
		f.add("arithmetic", n, "mutantElse(%d, func() "+types.TypeString(f.info.TypeOf(n), f.name)+" { return ("+x+") "+other+" ("+y+") }, ", ")")
	}
}

// name returns the name of a package as the file writes it before a type. It is empty for the package of the file.
func (f *finder) name(p *types.Package) string {
	if strings.HasSuffix(p.Path(), f.pkg) {
		return ""
	}
	return p.Name()
}

// apply returns the source with all edits of the mutants.
func apply(source []byte, mutants []*mutant) []byte {
	type placed struct {
		edit
		width int // the length of the node; of two nodes at one place the longer opens first and closes last
	}
	var all []placed
	for _, m := range mutants {
		width := m.edits[1].at - m.edits[0].at
		for _, e := range m.edits {
			e.text = strings.ReplaceAll(e.text, "%d", fmt.Sprint(m.ID))
			all = append(all, placed{e, width})
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
		switch {
		case a.at != b.at:
			return a.at < b.at
		case a.open != b.open:
			return !a.open
		case a.open:
			return a.width > b.width
		}
		return a.width < b.width
	})
	var out strings.Builder
	from := 0
	for _, e := range all {
		out.Write(source[from:e.at])
		out.WriteString(e.text)
		from = e.at
	}
	out.Write(source[from:])
	return []byte(out.String())
}
