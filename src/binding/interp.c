#define Py_BUILD_CORE 1
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#ifdef Py_GIL_DISABLED
#include <internal/pycore_ceval.h>
#endif
#include <internal/pycore_frame.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#if PY_VERSION_HEX < 0x030D0000
#define NEED_OPCODE_TABLES
#include <internal/pycore_opcode.h>
#elif PY_VERSION_HEX < 0x030F0000
#define NEED_OPCODE_METADATA
#include <internal/pycore_opcode_metadata.h>
#endif
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interpframe.h>
#include <internal/pycore_stackref.h>
#endif
#include <opcode.h>
#pragma GCC diagnostic pop

#include "interp.h"

#include <stdio.h>

#if PY_VERSION_HEX < 0x030D0000

void pg_interp_interrupt_main(void)
{
    PyInterpreterState *interp = PyInterpreterState_Main();

    __atomic_store_n((int *)&interp->ceval.eval_breaker, 1, __ATOMIC_RELAXED);
}

#elif defined(Py_GIL_DISABLED)

/* Here adding one does, but another thread that looks at its own pending calls takes the sign away
 * from all of them, also from the main thread, whose calls it leaves. */
void pg_interp_interrupt_main(void)
{
    PyThreadState *main = _PyRuntime.main_tstate;

    if (main != NULL)
        __atomic_fetch_or(&main->eval_breaker, _PY_CALLS_TO_DO_BIT, __ATOMIC_SEQ_CST);
}

#else

void pg_interp_interrupt_main(void)
{
}

#endif

unsigned long pg_interp_main_thread(void)
{
    return (unsigned long)_PyRuntime.main_thread;
}

#define ROOM 150 /* Python calls */

bool pg_interp_has_room(void)
{
#if PY_VERSION_HEX < 0x030C0000
    return PyThreadState_Get()->recursion_remaining > ROOM;
#else
    return PyThreadState_Get()->py_recursion_remaining > ROOM;
#endif
}

#ifdef Py_GIL_DISABLED

bool pg_interp_has_lock(void)
{
    return __atomic_load_n((int *)&PyInterpreterState_Main()->ceval.gil->enabled,
                           __ATOMIC_RELAXED) != 0;
}

bool pg_interp_has_dropped(PyThreadState *state)
{
    return (__atomic_load_n(&state->eval_breaker, __ATOMIC_RELAXED) &
            _PY_EVAL_EXPLICIT_MERGE_BIT) != 0;
}

int pg_interp_let_go(void)
{
    PyObject *pending, *code, *globals, *result = NULL;

    if (!pg_interp_has_dropped(PyThreadState_Get()))
        return 0;
    pending = PyErr_GetRaisedException();
    code = Py_CompileString("None", "<pygas>", Py_eval_input);
    globals = code != NULL ? PyDict_New() : NULL;
    if (globals != NULL)
        result =
            PyEval_EvalCode(code, globals, globals); /* it looks before its first instruction */
    Py_XDECREF(globals);
    Py_XDECREF(code);
    if (pending != NULL && result != NULL)
        PyErr_SetRaisedException(pending);
    else
        Py_XDECREF(pending);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

#endif

bool pg_interp_lock_looks_free(void)
{
#if defined(Py_GIL_DISABLED)
    return !pg_interp_has_lock() ||
           __atomic_load_n((int *)&PyInterpreterState_Main()->ceval.gil->locked,
                           __ATOMIC_RELAXED) <= 0;
#elif PY_VERSION_HEX < 0x030C0000
    return __atomic_load_n((int *)&_PyRuntime.ceval.gil.locked, __ATOMIC_RELAXED) <= 0;
#else
    return __atomic_load_n((int *)&PyInterpreterState_Main()->ceval.gil->locked,
                           __ATOMIC_RELAXED) <= 0;
#endif
}

/* ---- frames, whose parts each version names anew ---- */

#if PY_VERSION_HEX < 0x030F0000

/* What the frame runs, borrowed: code, unless it is one of the interpreter's own. */
static PyObject *executable_of(const _PyInterpreterFrame *frame)
{
#if PY_VERSION_HEX < 0x030D0000
    return (PyObject *)frame->f_code;
#elif PY_VERSION_HEX < 0x030E0000
    return frame->f_executable;
#else
    return PyStackRef_AsPyObjectBorrow(frame->f_executable);
#endif
}

static _Py_CODEUNIT *instruction_of(const _PyInterpreterFrame *frame)
{
#if PY_VERSION_HEX < 0x030D0000
    return frame->prev_instr;
#else
    return frame->instr_ptr;
#endif
}

/* The instructions of the code that the frame runs: without an interpreter lock, 3.14 copies them
 * for each thread. */
static _Py_CODEUNIT *instructions_of(const _PyInterpreterFrame *frame, PyCodeObject *code)
{
#if PY_VERSION_HEX < 0x030E0000
    (void)frame;
    return _PyCode_CODE(code);
#else
    (void)code;
    return _PyFrame_GetBytecode((_PyInterpreterFrame *)frame);
#endif
}

/* The innermost one of the running thread. */
static const _PyInterpreterFrame *running_frame(void)
{
#if PY_VERSION_HEX < 0x030D0000
    return PyThreadState_Get()->cframe->current_frame;
#else
    return PyThreadState_Get()->current_frame;
#endif
}

static int opcode_of(_Py_CODEUNIT unit)
{
#if PY_VERSION_HEX < 0x030C0000
    return _PyOpcode_Deopt[_Py_OPCODE(unit)];
#else
    return _PyOpcode_Deopt[unit.op.code];
#endif
}

static int oparg_of(_Py_CODEUNIT unit)
{
#if PY_VERSION_HEX < 0x030C0000
    return _Py_OPARG(unit);
#else
    return unit.op.arg;
#endif
}

/* Opcode and argument of the running instruction; false if there is none. */
static bool running(PyCodeObject **code, int *opcode, int *oparg)
{
    const _PyInterpreterFrame *frame = running_frame();
    _Py_CODEUNIT *at, *first;

    if (frame == NULL || !PyCode_Check(executable_of(frame)))
        return false;
    *code = (PyCodeObject *)executable_of(frame);
    first = instructions_of(frame, *code);
    at = instruction_of(frame);
    if (at < first || at >= first + Py_SIZE(*code))
        return false;
    *opcode = opcode_of(*at);
    *oparg = oparg_of(*at);
    for (int shift = 8; shift < 32 && at > first && opcode_of(at[-1]) == EXTENDED_ARG; shift += 8)
        *oparg |= oparg_of(*--at) << shift;
    return true;
}

bool pg_interp_is_calling(PyObject *name)
{
    PyCodeObject *code;
    int opcode, oparg;

    if (!running(&code, &opcode, &oparg))
        return false;
#if PY_VERSION_HEX < 0x030C0000
    if (opcode != LOAD_METHOD)
        return false;
#else
    if (opcode != LOAD_ATTR || (oparg & 1) == 0)
        return false;
    oparg >>= 1;
#endif
    return oparg < PyTuple_GET_SIZE(code->co_names) &&
           PyTuple_GET_ITEM(code->co_names, oparg) == name;
}

bool pg_interp_is_inplace(void)
{
    PyCodeObject *code;
    int opcode, oparg;

    return running(&code, &opcode, &oparg) && opcode == BINARY_OP && oparg >= NB_INPLACE_ADD &&
           oparg <= NB_INPLACE_XOR;
}

#else

bool pg_interp_is_calling(PyObject *name)
{
    (void)name;
    return false;
}

bool pg_interp_is_inplace(void)
{
    return false;
}

#endif

/* ---- the stacks of threads that do not move ---- */

/* Not part of the API; exported up to 3.12. */
extern const char *_Py_DumpTracebackThreads(int fd, PyInterpreterState *interp,
                                            PyThreadState *current) __attribute__((weak));

#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030F0000

#define STACKS_MAX 100 /* threads, and frames of each */
#if PY_VERSION_HEX < 0x030E0000
#define OWNED_BY_INTERPRETER FRAME_OWNED_BY_CSTACK
#else
#define OWNED_BY_INTERPRETER FRAME_OWNED_BY_INTERPRETER /* or by the C stack, which comes next */
#endif

/* Without calling what allocates or takes a lock. */
static void write_text(int fd, PyObject *text)
{
    Py_ssize_t length;
    char copy[500];

    if (text == NULL || !PyUnicode_Check(text)) {
        dprintf(fd, "???");
        return;
    }
    length = PyUnicode_GET_LENGTH(text);
    if (length > (Py_ssize_t)sizeof(copy))
        length = sizeof(copy);
    for (Py_ssize_t i = 0; i < length; i++) {
        Py_UCS4 letter = PyUnicode_READ_CHAR(text, i);

        copy[i] = letter >= ' ' && letter < 127 ? (char)letter : '?';
    }
    dprintf(fd, "%.*s", (int)length, copy);
}

/* False if it does not look like a frame. */
static bool write_frame(int fd, const _PyInterpreterFrame *frame)
{
    PyCodeObject *code = (PyCodeObject *)executable_of(frame);
    ptrdiff_t at;

    if (frame->owner >= OWNED_BY_INTERPRETER)
        return true;
    if (code == NULL || !PyCode_Check(code))
        return false;
    at = instruction_of(frame) - instructions_of(frame, code);
    dprintf(fd, "  File \"");
    write_text(fd, code->co_filename);
    dprintf(fd, "\", line %d in ",
            at >= 0 && at < Py_SIZE(code)
                ? PyCode_Addr2Line(code, (int)at * (int)sizeof(_Py_CODEUNIT))
                : code->co_firstlineno);
    write_text(fd, code->co_name);
    dprintf(fd, "\n");
    return true;
}

static bool write_stacks(int fd)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

    for (int i = 0; thread != NULL && i < STACKS_MAX; i++) {
        const _PyInterpreterFrame *frame = thread->current_frame;

        if (frame != NULL)
            dprintf(fd, "Thread 0x%016lx (most recent call first):\n", thread->thread_id);
        for (int k = 0; frame != NULL && k < STACKS_MAX && write_frame(fd, frame); k++)
            frame = frame->previous;
        thread = PyThreadState_Next(thread);
    }
    return true;
}

#else

static bool write_stacks(int fd)
{
    (void)fd;
    return false;
}

#endif

bool pg_interp_write_stacks(int fd)
{
    if (_Py_DumpTracebackThreads == NULL)
        return write_stacks(fd);
    _Py_DumpTracebackThreads(fd, PyInterpreterState_Main(), NULL);
    return true;
}
