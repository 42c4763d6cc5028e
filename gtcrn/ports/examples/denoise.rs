//! Denoise raw 16-bit PCM from standard input to standard output: denoise RATE CHANNELS [DECIBELS [HIGHS]] < noisy > clean
//!
//! DECIBELS: the attenuation limit. HIGHS: 1 keeps what lies above 8 kHz.
//!
//! rustc -O denoise.rs $(pkg-config --libs gtcrn) -o denoise
use std::io::{self, Read, Write};
use std::os::raw::c_int;

#[repr(C)]
struct RawParams([u8; 0]);
#[repr(C)]
struct RawStream([u8; 0]);

extern "C" {
    fn gtcrn_weights() -> *const RawParams;
    fn gtcrn_create(
        weights: *const RawParams,
        sample_rate: c_int,
        channels: c_int,
    ) -> *mut RawStream;
    fn gtcrn_free(stream: *mut RawStream);
    fn gtcrn_set_attenuation_limit(stream: *mut RawStream, decibels: f64) -> c_int;
    fn gtcrn_set_keep_highs(stream: *mut RawStream, keep: c_int);
    fn gtcrn_ready(stream: *const RawStream, samples: usize) -> usize;
    fn gtcrn_pending(stream: *const RawStream) -> usize;
    fn gtcrn_process_s16(
        stream: *mut RawStream,
        samples: *const i16,
        count: usize,
        out: *mut i16,
    ) -> usize;
    fn gtcrn_flush_s16(stream: *mut RawStream, out: *mut i16) -> usize;
}

/// A stream that ends with its owner. It may move to another thread, and belongs to one at a time.
struct Stream {
    raw: *mut RawStream,
    channels: usize,
}

unsafe impl Send for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        unsafe { gtcrn_free(self.raw) }
    }
}

impl Stream {
    fn new(sample_rate: c_int, channels: c_int) -> Option<Stream> {
        let raw = unsafe { gtcrn_create(gtcrn_weights(), sample_rate, channels) };
        (!raw.is_null()).then_some(Stream {
            raw,
            channels: channels as usize,
        })
    }

    fn limit_attenuation(&mut self, decibels: f64) -> bool {
        unsafe { gtcrn_set_attenuation_limit(self.raw, decibels) == 0 }
    }

    fn keep_highs(&mut self, keep: bool) {
        unsafe { gtcrn_set_keep_highs(self.raw, keep as c_int) }
    }

    /// Interleaved samples in, what is ready out.
    fn process(&mut self, samples: &[i16]) -> Vec<i16> {
        let count = samples.len() / self.channels;
        let mut out = vec![0; unsafe { gtcrn_ready(self.raw, count) } * self.channels];
        unsafe { gtcrn_process_s16(self.raw, samples.as_ptr(), count, out.as_mut_ptr()) };
        out
    }

    /// What is still inside; the stream takes nothing after it.
    fn flush(&mut self) -> Vec<i16> {
        let mut out = vec![0; unsafe { gtcrn_pending(self.raw) } * self.channels];
        unsafe { gtcrn_flush_s16(self.raw, out.as_mut_ptr()) };
        out
    }
}

fn stream_of(arguments: &[String]) -> Option<Stream> {
    let mut stream = Stream::new(
        arguments.get(1)?.parse().ok()?,
        arguments.get(2)?.parse().ok()?,
    )?;
    if let Some(limit) = arguments.get(3) {
        stream
            .limit_attenuation(limit.parse().ok()?)
            .then_some(())?;
    }
    stream.keep_highs(arguments.get(4).is_some_and(|highs| highs == "1"));
    Some(stream)
}

/// As many whole frames as come, 480 at most.
fn read(source: &mut impl Read, channels: usize) -> io::Result<Vec<i16>> {
    let mut bytes = Vec::new();
    source
        .take(480 * 2 * channels as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect())
}

fn write(target: &mut impl Write, samples: &[i16]) -> io::Result<()> {
    target.write_all(
        &samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect::<Vec<u8>>(),
    )
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(mut stream) = stream_of(&arguments) else {
        eprintln!("usage: denoise RATE CHANNELS [DECIBELS [HIGHS]], 8000 to 192000 Hz, 1 to 64 channels");
        std::process::exit(2);
    };
    let (mut source, mut target) = (io::stdin().lock(), io::stdout().lock());
    loop {
        let samples = read(&mut source, stream.channels)?;
        if samples.is_empty() {
            break;
        }
        write(&mut target, &stream.process(&samples))?;
    }
    write(&mut target, &stream.flush())
}
