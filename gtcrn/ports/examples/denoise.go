// Denoise raw 16-bit PCM from standard input to standard output: denoise RATE CHANNELS [DECIBELS [HIGHS]] < noisy > clean
//
// DECIBELS: the attenuation limit. HIGHS: 1 keeps what lies above 8 kHz.
//
//	CGO_CFLAGS=$(pkg-config --cflags gtcrn) CGO_LDFLAGS=$(pkg-config --libs gtcrn) go build denoise.go
package main

// #include <gtcrn.h>
import "C"

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"unsafe"
)

const chunk = 480 // samples a channel that are read at once; any number would do

// Stream is a stream of one goroutine at a time.
type Stream struct {
	raw      *C.gtcrn_stream
	channels int
}

// NewStream fails for rates but 8000 to 192000 Hz and channels but 1 to 64.
func NewStream(rate, channels int) (*Stream, error) {
	raw := C.gtcrn_create(C.gtcrn_weights(), C.int(rate), C.int(channels))
	if raw == nil {
		return nil, errors.New("8000 to 192000 Hz, 1 to 64 channels")
	}
	stream := &Stream{raw, channels}
	// Methods keep the stream alive: where C is at work with `raw` only, the collector sees no use of it.
	runtime.SetFinalizer(stream, func(stream *Stream) { C.gtcrn_free(stream.raw) })
	return stream, nil
}

// LimitAttenuation says by how many dB noise may be pulled down.
func (stream *Stream) LimitAttenuation(decibels float64) error {
	defer runtime.KeepAlive(stream)
	if C.gtcrn_set_attenuation_limit(stream.raw, C.double(decibels)) != 0 {
		return errors.New("0 dB or more")
	}
	return nil
}

// KeepHighs keeps what lies above 8 kHz.
func (stream *Stream) KeepHighs() {
	defer runtime.KeepAlive(stream)
	C.gtcrn_set_keep_highs(stream.raw, 1)
}

// Process takes interleaved samples and returns what is ready.
func (stream *Stream) Process(samples []int16) []int16 {
	defer runtime.KeepAlive(stream)
	count := C.size_t(len(samples) / stream.channels)
	out := stream.room(C.gtcrn_ready(stream.raw, count))
	C.gtcrn_process_s16(stream.raw, pointer(samples), count, pointer(out))
	return out
}

// Flush returns what is still inside; the stream takes nothing after it.
func (stream *Stream) Flush() []int16 {
	defer runtime.KeepAlive(stream)
	out := stream.room(C.gtcrn_pending(stream.raw))
	C.gtcrn_flush_s16(stream.raw, pointer(out))
	return out
}

func (stream *Stream) room(samples C.size_t) []int16 {
	return make([]int16, int(samples)*stream.channels)
}

func pointer(samples []int16) *C.int16_t {
	if len(samples) == 0 {
		return nil
	}
	return (*C.int16_t)(unsafe.Pointer(&samples[0]))
}

func streamOf(arguments []string) (*Stream, error) {
	if len(arguments) < 3 {
		return nil, errors.New("too few arguments")
	}
	rate, _ := strconv.Atoi(arguments[1])
	channels, _ := strconv.Atoi(arguments[2])
	stream, err := NewStream(rate, channels)
	if err != nil || len(arguments) == 3 {
		return stream, err
	}
	decibels, err := strconv.ParseFloat(arguments[3], 64)
	if err != nil {
		return nil, err
	}
	if len(arguments) > 4 && arguments[4] == "1" {
		stream.KeepHighs()
	}
	return stream, stream.LimitAttenuation(decibels)
}

func denoise(stream *Stream, source io.Reader, target io.Writer) error {
	bytes := make([]byte, chunk*2*stream.channels)
	for {
		got, err := io.ReadFull(source, bytes)
		samples := make([]int16, got/2)
		for i := range samples {
			samples[i] = int16(binary.LittleEndian.Uint16(bytes[2*i:]))
		}
		if err := binary.Write(target, binary.LittleEndian, stream.Process(samples)); err != nil {
			return err
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return binary.Write(target, binary.LittleEndian, stream.Flush())
		}
		if err != nil {
			return err
		}
	}
}

func main() {
	stream, err := streamOf(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "usage: denoise RATE CHANNELS [DECIBELS [HIGHS]]:", err)
		os.Exit(2)
	}
	target := bufio.NewWriter(os.Stdout)
	if err := denoise(stream, bufio.NewReader(os.Stdin), target); err != nil || target.Flush() != nil {
		os.Exit(1)
	}
}
