/*
 * Cannon's algorithm in C with MPI and BLAS.
 *
 *     mpicc -O3 -o cannon benchmarks/cannon.c -lopenblas -lm
 *     OMP_NUM_THREADS=1 mpirun -n 4 ./cannon -n 1024
 *
 * As examples/cannon.py, written as a C programmer would: a Cartesian communicator, and after each
 * multiplication every rank passes its blocks to the left and upwards, in place.
 */
#include <cblas.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double *new_matrix(size_t size)
{
    double *matrix = calloc(size * size, sizeof(double));

    if (matrix == NULL) {
        fprintf(stderr, "cannon: out of memory\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return matrix;
}

/* Block (i, j) of a matrix, each factor another one; block (0, 0) of size n is all of it. */
static double *new_block(long factor, long i, long j, long size)
{
    double *block = new_matrix(size);

    for (long y = 0; y < size; y++) {
        for (long x = 0; x < size; x++) {
            long row = i * size + y, column = j * size + x;

            block[y * size + x] = (row * row + factor * row * column + column) % 11 - 5.0;
        }
    }
    return block;
}

/* c += a * b */
static void multiply(long size, const double *a, const double *b, double *c)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size, size, size, 1.0, a, size, b, size,
                1.0, c, size);
}

/* Computes this rank's block of C; returns the seconds spent multiplying. Collective. */
static double cannon(MPI_Comm grid, int q, long size, double *a, double *b, double *c)
{
    int left, right, above, below;
    double multiplying = 0;

    MPI_Cart_shift(grid, 1, -1, &right, &left);
    MPI_Cart_shift(grid, 0, -1, &below, &above);
    for (int step = 0; step < q; step++) {
        double start = MPI_Wtime();

        multiply(size, a, b, c);
        multiplying += MPI_Wtime() - start;
        if (step < q - 1) {
            MPI_Sendrecv_replace(a, size * size, MPI_DOUBLE, left, 0, right, 0, grid,
                                 MPI_STATUS_IGNORE);
            MPI_Sendrecv_replace(b, size * size, MPI_DOUBLE, above, 0, below, 0, grid,
                                 MPI_STATUS_IGNORE);
        }
    }
    return multiplying;
}

/* Compares the blocks, in the order of their ranks, with a product computed on one rank. */
static int is_product(const double *blocks, int q, long size)
{
    long n = q * size;
    double *a = new_block(2, 0, 0, n), *b = new_block(3, 0, 0, n), *c = new_matrix(n);
    int equal = 1;

    multiply(n, a, b, c);
    for (long row = 0; row < n && equal; row++) {
        for (long j = 0; j < q && equal; j++) {
            const double *block = blocks + (row / size * q + j) * size * size;

            equal = memcmp(block + row % size * size, c + row * n + j * size,
                           size * sizeof(double)) == 0;
        }
    }
    free(a);
    free(b);
    free(c);
    return equal;
}

/* Returns n of "-n N", 1024 by default, 0 if the arguments are wrong. */
static long parse(int argc, char **argv)
{
    long n = 1024;
    int option;

    while ((option = getopt(argc, argv, "n:")) != -1) {
        if (option != 'n')
            return 0;
        n = atol(optarg);
    }
    return n;
}

int main(int argc, char **argv)
{
    int ranks, rank, q, coordinates[2];
    long n, size, k;
    double *a, *b, *c, *blocks = NULL, *scratch;
    double start, seconds, mine, multiplying;
    int status = 0;
    MPI_Comm grid;

    MPI_Init(&argc, &argv);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    n = parse(argc, argv);
    q = (int)round(sqrt(ranks));
    if (q * q != ranks || n < 1 || n % q != 0) {
        fprintf(stderr, "cannon: the number of ranks has to be a square whose root divides n\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Cart_create(MPI_COMM_WORLD, 2, (int[]){q, q}, (int[]){1, 1}, 0, &grid);
    MPI_Cart_coords(grid, rank, 2, coordinates);
    size = n / q;
    /* The blocks are dealt out skewed: (i, j) starts with A(i, k) and B(k, j). */
    k = (coordinates[0] + coordinates[1]) % q;
    a = new_block(2, coordinates[0], k, size);
    b = new_block(3, k, coordinates[1], size);
    c = new_matrix(size);

    scratch = new_matrix(size);
    multiply(size, a, b, scratch); /* wake the BLAS */
    free(scratch);
    MPI_Barrier(grid);
    start = MPI_Wtime();
    mine = cannon(grid, q, size, a, b, c);
    MPI_Barrier(grid);
    seconds = MPI_Wtime() - start;

    if (rank == 0)
        blocks = new_matrix(n);
    MPI_Gather(c, size * size, MPI_DOUBLE, blocks, size * size, MPI_DOUBLE, 0, grid);
    MPI_Reduce(&mine, &multiplying, 1, MPI_DOUBLE, MPI_SUM, 0, grid);
    if (rank == 0) {
        if (is_product(blocks, q, size)) {
            printf("cannon: n = %ld, %d ranks: verified in %.4f s, %.1f GFlop/s, "
                   "%.0f%% communication\n",
                   n, ranks, seconds, 2.0 * n * n * n / seconds / 1e9,
                   100 * (1 - multiplying / ranks / seconds));
        } else {
            fprintf(stderr, "cannon: the result differs from that of one rank\n");
            status = 1;
        }
        free(blocks);
    }
    free(a);
    free(b);
    free(c);
    MPI_Finalize();
    return status;
}
