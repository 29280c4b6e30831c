/* Ganglion's numeric kernels: C11, no Python, one shared object. The families, one header each. */
#ifndef GANGLION_KERNELS_H
#define GANGLION_KERNELS_H
#include "ganglion/kernels/adaptation.h"
#include "ganglion/kernels/attention.h"
#include "ganglion/kernels/attention16.h"
#include "ganglion/kernels/base.h"
#include "ganglion/kernels/attention.h"
#include "ganglion/kernels/distances.h"
#include "ganglion/kernels/elementwise.h"
#include "ganglion/kernels/hyperbolic.h"
#include "ganglion/kernels/hypervectors.h"
#include "ganglion/kernels/linear.h"
#include "ganglion/kernels/heads.h"
#include "ganglion/kernels/hopfield.h"
#include "ganglion/kernels/graphs.h"
#include "ganglion/kernels/hopfield.h"
#include "ganglion/kernels/hypervectors.h"
#include "ganglion/kernels/linear.h"
#include "ganglion/kernels/matrix.h"
#include "ganglion/kernels/predictive.h"
#include "ganglion/kernels/scan.h"
#include "ganglion/kernels/selection.h"
#endif
