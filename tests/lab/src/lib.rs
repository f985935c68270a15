//! A kernel with IPVS for every test, and the hosts in it.
