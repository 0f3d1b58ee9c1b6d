/* dump_machine.h: prints the two machines, health and operation, as Graphviz, from the tables that
 * drive them. */
#pragma once

#include <stdio.h>

/* Writes one digraph with a cluster per machine. */
void dump_machine_dot(FILE *f);
