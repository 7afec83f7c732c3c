/*
 * Design notes.
 *
 * Who asks: `numbers` maps interned strings, by address, to numbers; it keeps them alive, and its
 * size is bounded. `told` has for each rank a set of the numbers that it knows, made when it is
 * first told one. Two threads may spell a name at the same time; a number is told only once the
 * message that spells it has been sent. Attached threads only; free-threaded builds take `lock`.
 *
 * Who is asked: `known` has for each rank the names by number. An entry is made by the handler and
 * lives as long as the job, so a request can keep its address. The table of a rank is written under
 * the conduit lock only.
 */
#include "names.h"

#include "texts.h"

#include <pthread.h>

#define PLACES 2048u /* of the hash table; twice the names */

struct pg_known_name {
    _Atomic(PyObject *) text; /* NULL until an attached thread needs it */
    uint8_t length;
    char bytes[];
};

typedef struct number {
    PyObject *text;
    uint16_t number;
} number_t;

typedef struct told {
    uint64_t bits[PG_NAME_NUMBER_MAX / 64];
} told_t;

typedef struct known {
    pg_known_name_t **names; /* by number */
    uint16_t capacity;
} known_t;

static struct {
    pthread_mutex_t lock;
    number_t *numbers; /* PLACES of them */
    uint16_t count;
    told_t **told;  /* by rank */
    known_t *known; /* by rank */
    int ranks;
} names = {.lock = PTHREAD_MUTEX_INITIALIZER};

#ifdef Py_GIL_DISABLED
static void lock(void)
{
    pthread_mutex_lock(&names.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&names.lock);
}
#else
static void lock(void)
{
}

static void unlock(void)
{
}
#endif

static uint16_t number_of(PyObject *text)
{
    size_t at = ((uintptr_t)text >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 53;
    number_t *place = &names.numbers[at % PLACES];

    while (place->text != NULL && place->text != text)
        place = &names.numbers[++at % PLACES];
    if (place->text == NULL && names.count + 1 < PG_NAME_NUMBER_MAX) {
        place->text = Py_NewRef(text);
        place->number = ++names.count;
    }
    return place->number;
}

static bool is_told(uint16_t number, int rank)
{
    const told_t *told = names.told[rank];

    return told != NULL && (told->bits[number / 64] >> number % 64 & 1) != 0;
}

bool pg_name_for(PyObject *text, int rank, pg_name_t *name)
{
    Py_ssize_t length;

    if (!PyUnicode_CheckExact(text) || !PyUnicode_CHECK_INTERNED(text) ||
        !PyUnicode_IS_COMPACT_ASCII(text))
        return false;
    length = PyUnicode_GET_LENGTH(text);
    if (length == 0 || length > PG_NAME_LENGTH_MAX)
        return false;
    lock();
    name->number = number_of(text);
    name->length = name->number != 0 && is_told(name->number, rank) ? 0 : (uint8_t)length;
    unlock();
    name->bytes = PyUnicode_DATA(text);
    return name->number != 0;
}

void pg_name_told(const pg_name_t *name, int rank)
{
    lock();
    if (names.told[rank] == NULL)
        names.told[rank] = calloc(1, sizeof(told_t)); /* if that fails, it is spelled again */
    if (names.told[rank] != NULL)
        names.told[rank]->bits[name->number / 64] |= UINT64_C(1) << name->number % 64;
    unlock();
}

/* Makes room for `number`, which is in bounds. */
static bool known_grow(known_t *known, uint16_t number)
{
    uint16_t capacity = known->capacity > 0 ? known->capacity : 16;
    pg_known_name_t **larger;

    while (capacity <= number)
        capacity *= 2;
    larger = realloc(known->names, capacity * sizeof(pg_known_name_t *));
    if (larger == NULL)
        return false;
    memset(larger + known->capacity, 0, (capacity - known->capacity) * sizeof(pg_known_name_t *));
    known->names = larger;
    known->capacity = capacity;
    return true;
}

/* Not attached. */
pg_known_name_t *pg_name_arrived(int source, const pg_name_t *name)
{
    known_t *known = &names.known[source];
    pg_known_name_t *entry;

    if (name->number >= PG_NAME_NUMBER_MAX)
        return NULL;
    if (name->number < known->capacity && known->names[name->number] != NULL)
        return known->names[name->number];
    if (name->length == 0 || (name->number >= known->capacity && !known_grow(known, name->number)))
        return NULL;
    entry = malloc(sizeof(*entry) + name->length);
    if (entry == NULL)
        return NULL;
    atomic_init(&entry->text, NULL);
    entry->length = name->length;
    memcpy(entry->bytes, name->bytes, name->length);
    known->names[name->number] = entry;
    return entry;
}

PyObject *pg_name_text(pg_known_name_t *name)
{
    PyObject *text = atomic_load_explicit(&name->text, memory_order_acquire), *expected = NULL;

    if (text != NULL)
        return Py_NewRef(text);
    text = PyUnicode_DecodeASCII(name->bytes, name->length, NULL);
    if (text == NULL)
        return NULL;
    PyUnicode_InternInPlace(&text);
    if (atomic_compare_exchange_strong(&name->text, &expected, text))
        Py_INCREF(text); /* the entry's */
    return text;
}

gas_status_t pg_names_init(void)
{
    names.numbers = calloc(PLACES, sizeof(*names.numbers));
    names.told = calloc((size_t)pg.size, sizeof(told_t *));
    names.known = calloc((size_t)pg.size, sizeof(known_t));
    names.ranks = pg.size;
    names.count = 0;
    if (names.numbers != NULL && names.told != NULL && names.known != NULL)
        return GAS_OK;
    return gas_error(GAS_ERR_NO_MEMORY, "no memory for the names of %d ranks", pg.size);
}

static void known_clear(known_t *known)
{
    for (unsigned i = 0; i < known->capacity; i++) {
        if (known->names[i] == NULL)
            continue;
        Py_XDECREF(atomic_load(&known->names[i]->text));
        free(known->names[i]);
    }
    free(known->names);
}

void pg_names_clear(void)
{
    for (int rank = 0; rank < names.ranks; rank++) {
        if (names.told != NULL)
            free(names.told[rank]);
        if (names.known != NULL)
            known_clear(&names.known[rank]);
    }
    for (size_t i = 0; names.numbers != NULL && i < PLACES; i++)
        Py_XDECREF(names.numbers[i].text);
    free(names.numbers);
    free(names.told);
    free(names.known);
    names.numbers = NULL;
    names.told = NULL;
    names.known = NULL;
    names.ranks = 0;
}
