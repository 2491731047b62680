package main

import (
	"io"
	"os"
)

// An outFile is a file for output. It is opened before the work begins, so that an
// error of opening comes at once. It keeps its old content until there is something to
// write.
type outFile struct {
	file    *os.File
	existed bool
	written bool
	err     error
}

// create opens a file for writing, which the end of the command closes. "-" is
// standard output.
func (e *env) create(name string) (io.Writer, error) {
	if name == "-" {
		return e.stdout, nil
	}
	_, err := os.Lstat(name)
	f := &outFile{existed: err == nil}
	if f.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666); err != nil {
		return nil, err
	}
	e.files = append(e.files, f)
	return f, nil
}

func (f *outFile) Write(p []byte) (int, error) {
	f.empty()
	n, err := f.file.Write(p)
	if err != nil && f.err == nil {
		f.err = err
	}
	return n, err
}

// empty removes the old content. A file that is not regular has none.
func (f *outFile) empty() {
	if !f.written {
		f.written = true
		_ = f.file.Truncate(0)
	}
}

// close closes the file. If all went well and nothing was written, the file is
// empty; if not, and it is new, there is no file.
func (f *outFile) close(ok bool) error {
	if ok {
		f.empty()
	}
	err := f.file.Close()
	if !f.written && !f.existed {
		_ = os.Remove(f.file.Name())
	}
	if f.err != nil { // it has been reported
		return nil
	}
	return err
}
