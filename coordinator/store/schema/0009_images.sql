-- Searches on folders of images.
alter table espalier.searches drop constraint searches_data_check;
alter table espalier.searches add constraint searches_data_check
    check (data in ('cifar10', 'cifar100', 'idx', 'synthetic', 'images'));
