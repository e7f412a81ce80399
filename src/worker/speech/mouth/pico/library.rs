//! Pico's library: loaded from a file, and asked through its C interface (`picoapi.h`).

use std::{
    ffi::{CStr, CString, c_char, c_void},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    ptr,
    sync::{Mutex, PoisonError},
};

use libloading::Symbol;

use super::linking::without_python;
use crate::worker::speech::mouth::MouthError;

/// What Pico may use for two files of lingware and one engine, in words of 8 bytes: 2.5 MB, as
/// its own programs give it.
const MEMORY: usize = 2_500_000 / 8;

/// Most bytes of text that are given at once, and of sound that are taken.
const PIECE: usize = 1024;

/// Bytes of the names and messages that Pico writes (`PICO_RETSTRINGSIZE`).
const NAME: usize = 200;

/// Longest path of a file of lingware, bytes: where models lie may be a longer one, so the folder
/// is named by its number. Pico wants the file's own name, for it looks at how it ends.
const LONGEST_PATH: usize = 128;

/// The name of a voice that is put together of lingware.
const VOICE: &CStr = c"parlour";

/// `pico_Status`.
type Status = i32;
const DONE: Status = 0;
const IDLE: Status = 200;
const BUSY: Status = 201;

/// What Pico calls its system, a resource and an engine.
type Handle = *mut c_void;

/// Its documentation allows one system at a time in a process.
static ONE: Mutex<()> = Mutex::new(());

/// The open library.
pub(super) struct Library {
    functions: Functions,
    path: PathBuf,
    /// What the functions are in.
    _library: libloading::Library,
    /// Its file, which no other may be taken for as long as the library is open.
    _file: File,
}

/// `picoapi.h`.
struct Functions {
    initialize: unsafe extern "C" fn(*mut c_void, u32, *mut Handle) -> Status,
    terminate: unsafe extern "C" fn(*mut Handle) -> Status,
    unload: unsafe extern "C" fn(Handle, *mut Handle) -> Status,
    release: unsafe extern "C" fn(Handle, *const c_char) -> Status,
    dispose: unsafe extern "C" fn(Handle, *mut Handle) -> Status,
    message: unsafe extern "C" fn(Handle, Status, *mut c_char) -> Status,
    load: unsafe extern "C" fn(Handle, *const c_char, *mut Handle) -> Status,
    name: unsafe extern "C" fn(Handle, Handle, *mut c_char) -> Status,
    define: unsafe extern "C" fn(Handle, *const c_char) -> Status,
    add: unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> Status,
    engine: unsafe extern "C" fn(Handle, *const c_char, *mut Handle) -> Status,
    put: unsafe extern "C" fn(Handle, *const c_char, i16, *mut i16) -> Status,
    get: unsafe extern "C" fn(Handle, *mut c_void, i16, *mut i16, *mut i16) -> Status,
}

impl Library {
    /// Loads the library.
    ///
    /// # Errors
    /// When the file is no usable library of Pico's.
    pub(super) fn open(path: &Path) -> Result<Self, MouthError> {
        let unusable = |problem: String| MouthError::File {
            path: path.to_owned(),
            problem,
        };
        let mut bytes = fs::read(path).map_err(|error| unusable(error.to_string()))?;
        without_python(&mut bytes)
            .ok_or_else(|| unusable("it is no library for this machine".into()))?;
        let file = in_memory(&bytes).map_err(|error| unusable(error.to_string()))?;
        // SAFETY: the file's checksum is the catalogue's (it was checked before it came here):
        // its initialisers are those of the C compiler, which touch nothing outside it. Names
        // that are null now are called by Python's entry point only, which is never called.
        let library = unsafe { libloading::Library::new(path_of(&file)) }
            .map_err(|error| unusable(error.to_string()))?;
        // SAFETY: the types are those that `picoapi.h` declares, with `pico_Status` and
        // `pico_Int32` as `int`, `pico_Int16` as `short`, `pico_Char` as `unsigned char` and
        // handles as pointers. The library lives beside the functions, in one value.
        let functions =
            unsafe { Functions::of(&library) }.map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            functions,
            path: path.to_owned(),
            _library: library,
            _file: file,
        })
    }

    /// Says a text with two files of lingware: samples of 16 bits. Each text begins afresh, so
    /// that the same one sounds the same. What was said so far is given when it is stopped.
    ///
    /// # Errors
    /// When the lingware cannot be used or Pico fails.
    pub(super) fn speak(
        &self,
        lingware: [&Path; 2],
        text: &CStr,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<i16>, MouthError> {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut system = System::new(self)?;
        for path in lingware {
            system.add(path)?;
        }
        system.speak(text, stopped)
    }
}

impl Functions {
    /// # Safety
    /// The library must be Pico's, and outlive what this gives.
    unsafe fn of(library: &libloading::Library) -> Result<Self, libloading::Error> {
        /// # Safety
        /// As [`Functions::of`]; `F` must be the type that the name has.
        unsafe fn named<F: Copy>(
            library: &libloading::Library,
            name: &CStr,
        ) -> Result<F, libloading::Error> {
            // SAFETY: the caller answers for the name's type and for the library's life.
            let symbol: Symbol<'_, F> = unsafe { library.get(name.to_bytes_with_nul()) }?;
            Ok(*symbol)
        }
        // SAFETY: each field's type is that of the function it is named with, in `picoapi.h`.
        unsafe {
            Ok(Self {
                initialize: named(library, c"pico_initialize")?,
                terminate: named(library, c"pico_terminate")?,
                unload: named(library, c"pico_unloadResource")?,
                release: named(library, c"pico_releaseVoiceDefinition")?,
                dispose: named(library, c"pico_disposeEngine")?,
                message: named(library, c"pico_getSystemStatusMessage")?,
                load: named(library, c"pico_loadResource")?,
                name: named(library, c"pico_getResourceName")?,
                define: named(library, c"pico_createVoiceDefinition")?,
                add: named(library, c"pico_addResourceToVoiceDefinition")?,
                engine: named(library, c"pico_newEngine")?,
                put: named(library, c"pico_putTextUtf8")?,
                get: named(library, c"pico_getData")?,
            })
        }
    }
}

/// Pico at work. All of it is in its memory, which goes when this does.
struct System<'a> {
    library: &'a Library,
    handle: Handle,
    lingware: Vec<Handle>,
    /// Null until something is said.
    engine: Handle,
    /// Pico's own until it is terminated; a box's, before and after.
    memory: *mut [u64],
}

impl<'a> System<'a> {
    fn new(library: &'a Library) -> Result<Self, MouthError> {
        let memory = vec![0_u64; MEMORY].into_boxed_slice();
        let size = u32::try_from(size_of_val(&*memory)).expect("it is 2.5 MB");
        let memory = Box::into_raw(memory);
        let mut handle = ptr::null_mut();
        // SAFETY: the memory has `size` bytes, is aligned for whatever C keeps in it, is reached
        // by nobody else, and is freed after `pico_terminate` only.
        let status =
            unsafe { (library.functions.initialize)(memory.cast(), size, &raw mut handle) };
        let system = Self {
            library,
            handle,
            lingware: Vec::new(),
            engine: ptr::null_mut(),
            memory,
        };
        system.check(status)?;
        // SAFETY: the system is initialised, and the name ends with a null byte.
        let status = unsafe { (library.functions.define)(handle, VOICE.as_ptr()) };
        system.check(status)?;
        Ok(system)
    }

    /// Makes a file of lingware part of the voice.
    fn add(&mut self, path: &Path) -> Result<(), MouthError> {
        let functions = &self.library.functions;
        let unusable = |problem: String| MouthError::File {
            path: path.to_owned(),
            problem,
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        let folder = File::open(folder).map_err(|error| unusable(error.to_string()))?;
        let short = path_of(&folder).join(path.file_name().unwrap_or_default());
        let short = CString::new(short.into_os_string().into_encoded_bytes())
            .map_err(|error| unusable(error.to_string()))?;
        if short.count_bytes() > LONGEST_PATH {
            return Err(unusable("its name is too long for Pico".into()));
        }
        let mut resource = ptr::null_mut();
        let mut name = [0; NAME];
        // SAFETY: the system is initialised. The path ends with a null byte and is no longer than
        // Pico has room for; the folder that it begins with is open until this ends. Pico reads
        // the file whole into its own memory.
        let status = unsafe { (functions.load)(self.handle, short.as_ptr(), &raw mut resource) };
        self.check(status)
            .map_err(|error| unusable(error.to_string()))?;
        self.lingware.push(resource);
        // SAFETY: the resource was just loaded, and the name has as many bytes as Pico may write.
        let status = unsafe { (functions.name)(self.handle, resource, name.as_mut_ptr()) };
        self.check(status)?;
        // SAFETY: the voice is defined, and both names end with a null byte.
        let status = unsafe { (functions.add)(self.handle, VOICE.as_ptr(), name.as_ptr()) };
        self.check(status)
    }

    fn speak(&mut self, text: &CStr, stopped: &dyn Fn() -> bool) -> Result<Vec<i16>, MouthError> {
        let functions = &self.library.functions;
        // SAFETY: the voice is defined. The engine lives in the system's memory.
        let status =
            unsafe { (functions.engine)(self.handle, VOICE.as_ptr(), &raw mut self.engine) };
        self.check(status)?;
        // Its null byte is part of the text: it tells Pico that nothing follows.
        let mut left = text.to_bytes_with_nul();
        let mut bytes = Vec::new();
        while !left.is_empty() && !stopped() {
            let piece = left.len().min(PIECE) as i16;
            let mut taken = 0;
            // SAFETY: the text has at least so many bytes.
            let status = unsafe {
                (functions.put)(self.engine, left.as_ptr().cast(), piece, &raw mut taken)
            };
            self.check(status)?;
            if taken <= 0 || taken > piece {
                return Err(self.failed(format!("it took {taken} of {piece} bytes")));
            }
            left = &left[taken as usize..];
            self.hear(&mut bytes, stopped)?;
        }
        let samples = bytes.chunks_exact(2);
        Ok(samples
            .map(|bytes| i16::from_ne_bytes([bytes[0], bytes[1]]))
            .collect())
    }

    /// Takes all that the engine has to say for now.
    fn hear(&self, bytes: &mut Vec<u8>, stopped: &dyn Fn() -> bool) -> Result<(), MouthError> {
        let mut piece = [0_u8; PIECE];
        while !stopped() {
            let (mut taken, mut kind) = (0, 0);
            // SAFETY: the piece has as many bytes as are said, and the engine is this system's.
            let status = unsafe {
                (self.library.functions.get)(
                    self.engine,
                    piece.as_mut_ptr().cast(),
                    PIECE as i16,
                    &raw mut taken,
                    &raw mut kind,
                )
            };
            let taken = usize::try_from(taken).unwrap_or(0);
            let heard = piece.get(..taken);
            bytes.extend(heard.ok_or_else(|| self.failed("it said too much".into()))?);
            match status {
                BUSY => {}
                IDLE => break,
                status => return Err(self.failed(self.message(status))),
            }
        }
        Ok(())
    }

    fn check(&self, status: Status) -> Result<(), MouthError> {
        match status {
            DONE => Ok(()),
            status => Err(self.failed(self.message(status))),
        }
    }

    fn failed(&self, problem: String) -> MouthError {
        MouthError::File {
            path: self.library.path.clone(),
            problem,
        }
    }

    /// What a status means, in Pico's words.
    fn message(&self, status: Status) -> String {
        if self.handle.is_null() {
            return format!("it failed with {status}");
        }
        let mut text = [0_u8; NAME];
        // SAFETY: the system is initialised, and the text has as many bytes as Pico may write.
        unsafe {
            (self.library.functions.message)(self.handle, status, text.as_mut_ptr().cast());
        }
        let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
        text.to_string_lossy().into_owned()
    }
}

impl Drop for System<'_> {
    fn drop(&mut self) {
        let functions = &self.library.functions;
        if !self.handle.is_null() {
            // SAFETY: the system was initialised; the engine and the lingware are its own, and
            // are ended in the order that `picoapi.h` wants: without that their files stay open.
            // Nothing of them is used any more.
            unsafe {
                if !self.engine.is_null() {
                    (functions.dispose)(self.handle, &raw mut self.engine);
                }
                (functions.release)(self.handle, VOICE.as_ptr());
                for lingware in &mut self.lingware {
                    (functions.unload)(self.handle, lingware);
                }
                (functions.terminate)(&raw mut self.handle);
            }
        }
        // SAFETY: it came from a box, and Pico, which is terminated or never began, has no more
        // use for it.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

/// A file that is nowhere but in memory: folders of models may be read-only, and others forbid
/// that what is in them is run.
#[cfg(target_os = "linux")]
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    use std::io::Write as _;

    use rustix::fs::{MemfdFlags, memfd_create};

    let mut file = File::from(memfd_create("pico", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// No package has a library for other systems.
#[cfg(not(target_os = "linux"))]
fn in_memory(_: &[u8]) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A short path of an open file, whatever its own is.
fn path_of(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd as _;

    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
